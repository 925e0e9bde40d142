import type { Citation } from "../../../gen/weir/v1/chat_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { isJsonArray, type WireObject } from "./field.ts";
import { parseJson } from "./write-part.ts";

/** `annotations` of a message or a delta. */
export function readCitations(value: JsonValue | undefined): Citation[] {
  return isJsonArray(value) ? value.filter(isJsonObject).map(readCitation) : [];
}

function readCitation(wire: JsonObject): Citation {
  const given = wire.url_citation;
  const source = isJsonObject(given) ? given : wire;
  const citation: Citation = {
    $typeName: "weir.v1.Citation",
    uri: readWord(source.url),
    title: readWord(source.title),
    quote: readWord(source.content),
    raw: JSON.stringify(wire),
  };
  const { start_index: start, end_index: end } = source;
  if (typeof start === "number") citation.startIndex = start | 0;
  if (typeof end === "number") citation.endIndex = end | 0;
  return citation;
}

/** A citation as an annotation; `offset` is where its text begins in the whole content. */
export function writeCitation(citation: Citation, offset: number): WireObject {
  const raw = citation.raw === "" ? undefined : parseJson(citation.raw);
  if (isJsonObject(raw) && raw.type === "url_citation" && offset === 0) return { ...raw };
  const source: WireObject = {
    url: citation.uri,
    title: citation.title,
    start_index: offset + (citation.startIndex ?? 0),
    end_index: offset + (citation.endIndex ?? 0),
  };
  if (citation.quote !== "") source.content = citation.quote;
  return { type: "url_citation", url_citation: source };
}

function readWord(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
