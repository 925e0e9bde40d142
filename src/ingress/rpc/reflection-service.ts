import type { ConnectRouter } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../../../gen/google/rpc/status_pb.ts";
import { file_grpc_health_v1_health, Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import {
  file_grpc_reflection_v1_reflection,
  ServerReflection,
  type ServerReflectionRequest,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  file_grpc_reflection_v1alpha_reflection,
  ServerReflection as ServerReflectionAlpha,
  type ServerReflectionRequest as ServerReflectionAlphaRequest,
} from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import {
  AdminService,
  file_weir_admin_v1_admin_service,
} from "../../../gen/weir/admin/v1/admin_service_pb.ts";
import {
  file_weir_admin_v1_usage_service,
  UsageService,
} from "../../../gen/weir/admin/v1/usage_service_pb.ts";
import { ChatService, file_weir_v1_chat_service } from "../../../gen/weir/v1/chat_service_pb.ts";
import { EmbedService, file_weir_v1_embed_service } from "../../../gen/weir/v1/embed_service_pb.ts";
import { file_weir_v1_error } from "../../../gen/weir/v1/error_pb.ts";
import { file_weir_v1_model_service, ModelService } from "../../../gen/weir/v1/model_service_pb.ts";
import { ReflectionIndex } from "./reflection.ts";

/** Every service behind the port, by name. */
export const servedServices: ReadonlySet<string> = new Set([
  ChatService.typeName,
  EmbedService.typeName,
  ModelService.typeName,
  AdminService.typeName,
  UsageService.typeName,
  Health.typeName,
  ServerReflection.typeName,
  ServerReflectionAlpha.typeName,
]);

const reflectedFiles = [
  file_weir_v1_chat_service,
  file_weir_v1_embed_service,
  file_weir_v1_model_service,
  file_weir_v1_error,
  file_weir_admin_v1_admin_service,
  file_weir_admin_v1_usage_service,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
  file_google_rpc_status,
  file_google_rpc_error_details,
];

/** Adds reflection, v1 and v1alpha, to a router. */
export function addReflection(router: ConnectRouter): void {
  const index = new ReflectionIndex(reflectedFiles, servedServices);
  router.service(ServerReflection, {
    serverReflectionInfo: async function* (requests: AsyncIterable<ServerReflectionRequest>) {
      for await (const originalRequest of requests) {
        const messageResponse = index.answer(originalRequest.messageRequest);
        yield { validHost: originalRequest.host, originalRequest, messageResponse };
      }
    },
  });
  router.service(ServerReflectionAlpha, {
    serverReflectionInfo: async function* (requests: AsyncIterable<ServerReflectionAlphaRequest>) {
      for await (const originalRequest of requests) {
        const messageResponse = index.answer(originalRequest.messageRequest);
        yield { validHost: originalRequest.host, originalRequest, messageResponse };
      }
    },
  });
}
