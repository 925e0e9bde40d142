import { type DescFile, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";

/** What a reflection client may ask; v1 and v1alpha have it alike. */
export type ReflectionQuestion =
  | { readonly case: "fileByFilename"; readonly value: string }
  | { readonly case: "fileContainingSymbol"; readonly value: string }
  | { readonly case: "fileContainingExtension"; readonly value: unknown }
  | { readonly case: "allExtensionNumbersOfType"; readonly value: string }
  | { readonly case: "listServices"; readonly value: string }
  | { readonly case: undefined; readonly value?: undefined };

/** What it is told; v1 and v1alpha have it alike. */
export type ReflectionAnswer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | {
      case: "allExtensionNumbersResponse";
      value: { baseTypeName: string; extensionNumber: number[] };
    }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

/** Answers questions about the descriptors of what is served. */
export class ReflectionIndex {
  readonly #services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  /** Every name that is declared in a file: messages, fields, enums, values, services, methods. */
  readonly #symbols = new Map<string, DescFile>();
  readonly #encoded = new Map<string, Uint8Array>();

  /** `files` declare the services; what they import is found through them. */
  constructor(files: readonly DescFile[], services: ReadonlySet<string>) {
    this.#services = [...services].sort();
    for (const file of files) this.#addFile(file);
  }

  answer(question: ReflectionQuestion): ReflectionAnswer {
    switch (question.case) {
      case "listServices": {
        const service = this.#services.map((name) => ({ name }));
        return { case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return this.#answerFile(this.#files.get(question.value), `file ${question.value}`);
      case "fileContainingSymbol":
        return this.#answerFile(this.#symbols.get(question.value), `symbol ${question.value}`);
      case "allExtensionNumbersOfType": {
        if (!this.#symbols.has(question.value)) return createNotFound(`type ${question.value}`);
        const value = { baseTypeName: question.value, extensionNumber: [] };
        return { case: "allExtensionNumbersResponse", value };
      }
      case "fileContainingExtension":
        return createNotFound("extension of that number");
      case undefined:
        return createError(Code.InvalidArgument, "The request asks nothing.");
      default: {
        const never: never = question;
        return never;
      }
    }
  }

  #answerFile(file: DescFile | undefined, what: string): ReflectionAnswer {
    if (file === undefined) return createNotFound(what);
    const fileDescriptorProto: Uint8Array[] = [];
    this.#gather(file, fileDescriptorProto, new Set());
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }

  /** A file, then everything that it imports, so that the client need not ask again. */
  #gather(file: DescFile, into: Uint8Array[], seen: Set<string>): void {
    const name = file.proto.name;
    if (seen.has(name)) return;
    seen.add(name);
    let bytes = this.#encoded.get(name);
    if (bytes === undefined) {
      bytes = toBinary(FileDescriptorProtoSchema, file.proto);
      this.#encoded.set(name, bytes);
    }
    into.push(bytes);
    for (const dependency of file.dependencies) this.#gather(dependency, into, seen);
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
    for (const message of file.messages) this.#addMessage(message, file);
    for (const { typeName, values, parent } of file.enums) {
      this.#symbols.set(typeName, file);
      for (const value of values) this.#addMember(parent?.typeName ?? packageOf(file), value, file);
    }
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#addMember(service.typeName, method, file);
    }
  }

  #addMessage(message: DescMessage, file: DescFile): void {
    this.#symbols.set(message.typeName, file);
    for (const field of message.fields) this.#addMember(message.typeName, field, file);
    for (const oneof of message.oneofs) this.#addMember(message.typeName, oneof, file);
    for (const { typeName, values } of message.nestedEnums) {
      this.#symbols.set(typeName, file);
      for (const value of values) this.#addMember(message.typeName, value, file);
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested, file);
  }

  #addMember(scope: string, member: { readonly name: string }, file: DescFile): void {
    this.#symbols.set(scope === "" ? member.name : `${scope}.${member.name}`, file);
  }
}

function packageOf(file: DescFile): string {
  return file.proto.package;
}

function createNotFound(what: string): ReflectionAnswer {
  return createError(Code.NotFound, `There is no ${what} here.`);
}

function createError(errorCode: Code, errorMessage: string): ReflectionAnswer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
