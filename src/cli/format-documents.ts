import { stringify } from "yaml";

/** Documents as YAML, as `weir apply` reads them. */
export function formatDocuments(documents: readonly object[]): string {
  return documents.map((each) => stringify(each, { lineWidth: 100 })).join("---\n");
}
