import {
  type DescMessage,
  fromJson,
  type JsonObject,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { WriteOptions, WriteResult } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Meta } from "../../gen/weir/admin/v1/team_pb.ts";
import type { WeirAdminClient } from "../client/admin.ts";
import type { Column } from "./table.ts";

type Admin = WeirAdminClient["admin"];

/** A resource as the command line handles it, whatever its kind. */
export interface Item {
  readonly name: string;
  readonly etag: string;
  /** Its protobuf JSON. */
  readonly json: JsonObject;
  /** One cell for each column of its kind. */
  readonly cells: readonly string[];
}

/** A resource after a write. */
export interface WrittenItem {
  readonly item: Item;
  readonly result: WriteResult | undefined;
}

/** How to write. */
export type WriteOrder = Pick<WriteOptions, "validateOnly" | "reason">;

/** Which resources to list. */
export interface ListOrder {
  /** `teams/{team}` for keys and policies of one team; empty for all. */
  readonly parent: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the command line knows of a kind of resource; everything else is written once for all. */
export interface ResourceKind {
  /** As it is typed: `policy`. */
  readonly word: string;
  /** As it is typed, too: `policies`. */
  readonly plural: string;
  /** As documents say it: `Policy`. */
  readonly title: string;
  /** The form of full names, for errors. */
  readonly form: string;
  readonly schema: DescMessage;
  readonly columns: readonly Column[];
  /** Whether a full name is of this kind. */
  owns(name: string): boolean;
  /** The full name for a short one; undefined when it needs more. */
  expand(name: string): string | undefined;
  /** Throws what the protobuf library throws for JSON that does not fit. */
  parse(json: JsonObject): void;
  list(admin: Admin, order: ListOrder): Promise<Item[]>;
  get(admin: Admin, name: string): Promise<Item>;
  /** Creates or updates; an etag in `meta` is kept to. */
  put(admin: Admin, json: JsonObject, order: WriteOrder): Promise<WrittenItem>;
  delete(admin: Admin, name: string, order: WriteOrder): Promise<WriteResult | undefined>;
}

/** One kind in the words of its own messages and RPCs. */
export interface KindSpec<T extends Body> {
  readonly word: string;
  readonly plural: string;
  readonly title: string;
  readonly form: string;
  readonly pattern: RegExp;
  /** What stands before a short name. Undefined when short names say too little. */
  readonly prefix: string | undefined;
  readonly schema: GenMessage<T>;
  readonly columns: readonly Column[];
  cells(body: T): readonly string[];
  list(admin: Admin, page: PageOrder): Promise<{ items: T[]; nextPageToken: string }>;
  get(admin: Admin, name: string): Promise<T | undefined>;
  put(admin: Admin, body: T, options: WriteOrder): Promise<Put<T>>;
  delete(admin: Admin, name: string, options: WriteOrder): Promise<WriteResult | undefined>;
}

/** What an update of one kind answers. */
export interface Put<T> {
  readonly body: T | undefined;
  readonly result: WriteResult | undefined;
}

interface PageOrder {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly parent: string;
  readonly labels: { [key: string]: string };
}

/** What every resource has. */
export interface Body extends Message {
  name: string;
  meta?: Meta | undefined;
}

const PAGE_SIZE = 1000;

export function createKind<T extends Body>(spec: KindSpec<T>): ResourceKind {
  const { word, plural, title, form, pattern, prefix, schema, columns } = spec;
  const show = (body: T | undefined, name: string): Item => {
    if (body === undefined) throw new Error(`Weir sent an empty ${word} for ${name}`);
    return {
      name: body.name,
      etag: body.meta?.etag ?? "",
      json: toObject(toJson(schema, body)),
      cells: spec.cells(body),
    };
  };
  return {
    word,
    plural,
    title,
    form,
    schema,
    columns,
    owns: (name) => pattern.test(name),
    expand: (name) => {
      if (pattern.test(name)) return name;
      return prefix !== undefined && pattern.test(prefix + name) ? prefix + name : undefined;
    },
    parse: (json) => {
      fromJson(schema, json);
    },
    list: async (admin, { parent, labels }) => {
      const found: Item[] = [];
      for (let pageToken = ""; ; ) {
        const order = { pageSize: PAGE_SIZE, pageToken, parent, labels: { ...labels } };
        const page = await spec.list(admin, order);
        for (const body of page.items) found.push(show(body, body.name));
        pageToken = page.nextPageToken;
        if (pageToken === "") return found;
      }
    },
    get: async (admin, name) => show(await spec.get(admin, name), name),
    put: async (admin, json, order) => {
      const input = fromJson(schema, json);
      const { body, result } = await spec.put(admin, input, order);
      return { item: show(body, input.name), result };
    },
    delete: spec.delete,
  };
}

function toObject(json: ReturnType<typeof toJson>): JsonObject {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json;
  throw new Error("a resource is an object in JSON");
}
