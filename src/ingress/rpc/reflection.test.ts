import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { file_weir_v1_chat_service } from "../../../gen/weir/v1/chat_service_pb.ts";
import { ReflectionIndex, type ReflectionQuestion } from "./reflection.ts";

const index = new ReflectionIndex([file_weir_v1_chat_service], new Set(["weir.v1.ChatService"]));

function filesFor(question: ReflectionQuestion): string[] {
  const answer = index.answer(question);
  if (answer.case !== "fileDescriptorResponse") return [];
  return answer.value.fileDescriptorProto.map(
    (bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name,
  );
}

describe("ReflectionIndex", () => {
  it("lists the services", () => {
    expect(index.answer({ case: "listServices", value: "" })).toEqual({
      case: "listServicesResponse",
      value: { service: [{ name: "weir.v1.ChatService" }] },
    });
  });

  it("gives a file with everything that it imports, once", () => {
    const names = filesFor({ case: "fileByFilename", value: "weir/v1/chat_service.proto" });
    expect(names[0]).toBe("weir/v1/chat_service.proto");
    expect([...names].sort()).toEqual([
      "google/protobuf/duration.proto",
      "google/protobuf/timestamp.proto",
      "weir/v1/chat.proto",
      "weir/v1/chat_service.proto",
      "weir/v1/usage.proto",
    ]);
  });

  const symbols: Array<[string, string]> = [
    ["weir.v1.ChatService", "weir/v1/chat_service.proto"],
    ["weir.v1.ChatService.StreamChat", "weir/v1/chat_service.proto"],
    ["weir.v1.StreamChatResponse.event", "weir/v1/chat_service.proto"],
    ["weir.v1.Chat", "weir/v1/chat.proto"],
    ["weir.v1.Chat.model", "weir/v1/chat.proto"],
    ["weir.v1.ROLE_USER", "weir/v1/chat.proto"],
    ["weir.v1.ToolChoice.Mode", "weir/v1/chat.proto"],
    ["weir.v1.ToolChoice.MODE_AUTO", "weir/v1/chat.proto"],
    ["weir.v1.TokenLogprob.Candidate", "weir/v1/chat.proto"],
    ["google.protobuf.Duration", "google/protobuf/duration.proto"],
  ];
  for (const [symbol, file] of symbols) {
    it(`finds ${symbol}`, () => {
      expect(filesFor({ case: "fileContainingSymbol", value: symbol })[0]).toBe(file);
    });
  }

  const wrong: Array<[ReflectionQuestion, number]> = [
    [{ case: "fileByFilename", value: "none.proto" }, 5],
    [{ case: "fileContainingSymbol", value: "weir.v1.None" }, 5],
    [{ case: "fileContainingExtension", value: {} }, 5],
    [{ case: "allExtensionNumbersOfType", value: "weir.v1.None" }, 5],
    [{ case: undefined }, 3],
  ];
  for (const [question, errorCode] of wrong) {
    it(`answers ${question.case ?? "nothing"} without a find by an error`, () => {
      expect(index.answer(question)).toMatchObject({ case: "errorResponse", value: { errorCode } });
    });
  }

  it("knows that messages here have no extensions", () => {
    expect(index.answer({ case: "allExtensionNumbersOfType", value: "weir.v1.Chat" })).toEqual({
      case: "allExtensionNumbersResponse",
      value: { baseTypeName: "weir.v1.Chat", extensionNumber: [] },
    });
  });
});
