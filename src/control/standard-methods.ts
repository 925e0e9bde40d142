import type { FieldMask } from "@bufbuild/protobuf/wkt";
import type { WriteOptions, WriteResult } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Caller } from "./caller.ts";
import type { Body, Kind } from "./kinds.ts";
import { listResources, type Page } from "./list-resources.ts";
import {
  createResource,
  deleteResource,
  getResource,
  type ResourceContext,
  updateResource,
  type WrittenResource,
} from "./resources.ts";

/** The five standard methods of a kind, over what the requests of all kinds have in common. */
export interface StandardMethods<T extends Body> {
  get(caller: Caller, request: { readonly name: string }): Promise<T>;
  list(caller: Caller, request: ListRequest, parent?: string): Promise<Page<T>>;
  create(caller: Caller, body: T | undefined, request: Optioned): Promise<WrittenResource<T>>;
  update(caller: Caller, body: T | undefined, request: UpdateRequest): Promise<WrittenResource<T>>;
  delete(caller: Caller, request: DeleteRequest): Promise<WriteResult>;
}

interface Optioned {
  readonly options?: WriteOptions | undefined;
}

interface ListRequest {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface UpdateRequest extends Optioned {
  readonly updateMask?: FieldMask | undefined;
  readonly allowMissing: boolean;
}

interface DeleteRequest extends Optioned {
  readonly name: string;
  readonly etag: string;
}

export function createStandardMethods<T extends Body>(
  context: ResourceContext,
  kind: Kind<T>,
): StandardMethods<T> {
  return {
    get: (caller, { name }) => getResource(context, caller, kind, name),
    list: (caller, { pageSize, pageToken, labels }, parent) => {
      const order = { pageSize, pageToken, labels };
      return listResources(
        context,
        caller,
        kind,
        parent === undefined ? order : { ...order, parent },
      );
    },
    create: (caller, body, { options }) => createResource(context, caller, kind, { body, options }),
    update: (caller, body, { updateMask, options, allowMissing }) => {
      const paths = updateMask?.paths ?? [];
      return updateResource(context, caller, kind, { body, paths, options, allowMissing });
    },
    delete: (caller, { name, etag, options }) =>
      deleteResource(context, caller, kind, { name, etag, options }),
  };
}
