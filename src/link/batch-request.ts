import {
  clone,
  createFileRegistry,
  type DescMethodBiDiStreaming,
  type Message,
} from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { FieldDescriptorProto_Type, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponseSchema,
  file_weir_link_v1_link_service,
  LinkService,
} from "../../gen/weir/link/v1/link_service_pb.ts";

/**
 * ConnectRequest as the control's end reads it: the same bytes, but a batch of records stays as it
 * came. Whoever keeps the records needs little of them, and all of their bytes.
 */
export type BatchRequest = Message<"weir.link.v1.ConnectRequest"> & {
  readonly message:
    | Exclude<ConnectRequest["message"], { case: "recordBatch" }>
    | { readonly case: "recordBatch"; readonly value: Uint8Array };
};

/** LinkService.Connect, with batches left encoded. */
export const connectMethod: DescMethodBiDiStreaming<
  GenMessage<BatchRequest>,
  typeof ConnectResponseSchema
> = { ...LinkService.method.connect, input: createSchema() };

/** The generated descriptor but for one field, which holds bytes instead of a message. */
function createSchema(): GenMessage<BatchRequest> {
  const file = clone(FileDescriptorProtoSchema, file_weir_link_v1_link_service.proto);
  const request = file.messageType.find(({ name }) => name === ConnectRequestSchema.name);
  const batch = request?.field.find(({ name }) => name === "record_batch");
  if (batch === undefined) throw new Error("ConnectRequest has no record_batch");
  batch.type = FieldDescriptorProto_Type.BYTES;
  batch.typeName = "";
  const { dependencies } = file_weir_link_v1_link_service;
  const registry = createFileRegistry(file, (name) =>
    dependencies.find(({ proto }) => proto.name === name),
  );
  const schema = registry.getMessage(ConnectRequestSchema.typeName);
  if (schema === undefined) throw new Error("ConnectRequest was not built");
  // A descriptor that is built at run time has no type; BatchRequest is what it describes.
  return schema as GenMessage<BatchRequest>;
}
