import type { PolicyEntry } from "../mesh/compile-policy.ts";
import type { BoundLimit, Limit } from "../mesh/limit.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { type AccessPolicy, listAccessPolicies } from "./access.ts";
import { isPotByLabel, type LimitBinder, nameSubject } from "./bind-limits.ts";
import { concernsModel, dependsOnLabels, type Labels, matchesLabels } from "./concerns.ts";
import { judgeName, type NameVerdict } from "./judge-name.ts";
import type { KeyFile } from "./key-file.ts";
import { type ResolvedModel, resolveModel } from "./resolve-model.ts";
import { ShelfView } from "./shelf-view.ts";

/**
 * Verdicts kept for what requests' labels bring into play; past it they are all forgotten and made
 * anew.
 */
const VARIANTS_MAX = 64;

/**
 * The verdict of one name for one key. What does not depend on a request's labels is judged once,
 * and again only when something changes that it was judged by.
 */
export class NameFile {
  readonly #file: KeyFile;
  readonly #asked: string;
  readonly #binder: LimitBinder;
  /** Of the policies that name the model: undefined until there are some. */
  #ofAsked: ShelfView | undefined;
  #ofResolved: ShelfView | undefined;
  #turn = 0;
  #stamp = -1;
  #names: readonly string[] = [];
  #resolved: ResolvedModel | undefined;
  #access: readonly AccessPolicy[] = [];
  /** Access policies that only some requests come under, by their labels. */
  #accessByLabel: readonly (AccessPolicy & { readonly entry: PolicyEntry })[] = [];
  #limits: readonly BoundLimit[] = [];
  /** Limits that only some requests come under, or whose pot a request's label names. */
  #limitsByLabel: readonly { readonly entry: PolicyEntry; readonly limit: Limit }[] = [];
  #verdict: NameVerdict | undefined;
  /** By the names of the policies that labels have brought into play. */
  #variants: Map<string, NameVerdict> | undefined;
  #last: { of: NameVerdict; limits: readonly BoundLimit[]; verdict: NameVerdict } | undefined;

  constructor(file: KeyFile, asked: string, binder: LimitBinder) {
    this.#file = file;
    this.#asked = asked;
    this.#binder = binder;
  }

  /** `turn` is another number whenever the snapshot is another one. The key's file is fresh. */
  judge(snapshot: Snapshot, turn: number, labels: Labels): NameVerdict {
    if (this.#turn !== turn) {
      this.#turn = turn;
      this.#refresh(snapshot);
    }
    const verdict = this.#verdict ?? this.#judge(this.#access);
    this.#verdict = verdict;
    if (this.#accessByLabel.length === 0 && this.#limitsByLabel.length === 0) return verdict;
    return this.#addLimits(this.#judgeByLabels(verdict, labels), labels);
  }

  #refresh(snapshot: Snapshot): void {
    const file = this.#file;
    const resolved = resolveModel(snapshot, this.#asked);
    const name = resolved?.name ?? this.#asked;
    const index = snapshot.policyIndex;
    let same = isSameModel(this.#resolved, resolved) && this.#stamp === file.stamp;
    const shelf = index.shelf(`models/${this.#asked}`);
    const behind = name === this.#asked ? undefined : index.shelf(`models/${name}`);
    if (shelf !== undefined) this.#ofAsked ??= new ShelfView(file.principal, file.tally);
    if (behind !== undefined) this.#ofResolved ??= new ShelfView(file.principal, file.tally);
    if (this.#ofAsked?.refresh(shelf)) same = false;
    if (this.#ofResolved?.refresh(behind)) same = false;
    if (same) return;
    this.#stamp = file.stamp;
    this.#resolved = resolved;
    this.#names = name === this.#asked ? [name] : [this.#asked, name];
    this.#verdict = undefined;
    this.#variants = undefined;
    this.#last = undefined;
    this.#sort(this.#listCandidates());
  }

  #listCandidates(): Set<PolicyEntry> {
    const candidates = new Set(this.#file.concerning);
    for (const view of [this.#ofAsked, this.#ofResolved]) {
      for (const entry of view?.entries ?? []) candidates.add(entry);
    }
    return candidates;
  }

  /** Policies in the order of their names, so that all proxies name the same one in a refusal. */
  #sort(candidates: Iterable<PolicyEntry>): void {
    const { principal, tally } = this.#file;
    const own = principal.key.labels;
    const fixed: PolicyEntry[] = [];
    const byLabel: PolicyEntry[] = [];
    const limits: BoundLimit[] = [];
    const limitsByLabel: { entry: PolicyEntry; limit: Limit }[] = [];
    for (const entry of [...candidates].sort(compareNames)) {
      tally.looked += 1;
      if (!concernsModel(entry, this.#names)) continue;
      const { limit } = entry;
      if (limit === undefined) (dependsOnLabels(entry, own) ? byLabel : fixed).push(entry);
      else if (dependsOnLabels(entry, own) || isPotByLabel(limit, own)) {
        limitsByLabel.push({ entry, limit });
      } else limits.push(this.#binder.bind(limit, nameSubject(limit, principal, {})));
    }
    this.#access = listAccessPolicies(fixed);
    this.#accessByLabel = byLabel.flatMap((entry) =>
      listAccessPolicies([entry]).map((access) => ({ ...access, entry })),
    );
    if (!isSameList(limits, this.#limits)) this.#limits = limits;
    this.#limitsByLabel = limitsByLabel;
  }

  #judge(access: readonly AccessPolicy[]): NameVerdict {
    const question = { principal: this.#file.principal, names: this.#names };
    return judgeName(this.#resolved, access, question, this.#limits);
  }

  #judgeByLabels(verdict: NameVerdict, labels: Labels): NameVerdict {
    const own = this.#file.principal.key.labels;
    const more = this.#accessByLabel.filter(({ entry }) => matchesLabels(entry, labels, own));
    if (more.length === 0) return verdict;
    const variant = more.map(({ policy }) => policy.name).join(" ");
    this.#variants ??= new Map();
    let judged = this.#variants.get(variant);
    if (judged === undefined) {
      if (this.#variants.size >= VARIANTS_MAX) this.#variants.clear();
      judged = this.#judge([...this.#access, ...more].sort(compareNames));
      this.#variants.set(variant, judged);
    }
    return judged;
  }

  #addLimits(verdict: NameVerdict, labels: Labels): NameVerdict {
    const { leg } = verdict;
    if (leg === undefined || this.#limitsByLabel.length === 0) return verdict;
    const { principal } = this.#file;
    const limits = [...this.#limits];
    for (const { entry, limit } of this.#limitsByLabel) {
      if (!matchesLabels(entry, labels, principal.key.labels)) continue;
      limits.push(this.#binder.bind(limit, nameSubject(limit, principal, labels)));
    }
    if (limits.length === this.#limits.length) return verdict;
    const last = this.#last;
    if (last?.of === verdict && isSameList(last.limits, limits)) return last.verdict;
    const limited = { ...verdict, leg: { ...leg, limits } };
    this.#last = { of: verdict, limits, verdict: limited };
    return limited;
  }
}

function isSameModel(a: ResolvedModel | undefined, b: ResolvedModel | undefined): boolean {
  return a?.name === b?.name && a?.resource === b?.resource && a?.targets === b?.targets;
}

function isSameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each, at) => each === b[at]);
}

function compareNames(a: Pick<PolicyEntry, "policy">, b: Pick<PolicyEntry, "policy">): number {
  return a.policy.name < b.policy.name ? -1 : 1;
}
