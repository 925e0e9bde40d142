import { fromJsonString } from "@bufbuild/protobuf";
import {
  type Audio,
  type Choice,
  type ContentPart,
  ContentPartSchema,
  type Finish,
  type ReasoningPart,
  type Refusal,
  Role,
  type Text,
  type TokenLogprob,
  type ToolCall,
} from "../../gen/weir/v1/chat_pb.ts";
import type {
  AudioDelta,
  ChatFinished,
  ChatStarted,
  CreateChatResponse,
  ReasoningDelta,
} from "../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "./chunk.ts";
import { MeshError } from "./errors.ts";
import { OWN_PART_DIALECT } from "./explode.ts";

export { explodeAnswer } from "./explode.ts";

/**
 * Most answers that one stream may hold: an index beyond it is a fault of the upstream, not a wish
 * for memory.
 */
const CHOICES_MAX = 1024;

/** Folds the events of a stream into the answer that they add up to. */
export class AnswerFold {
  readonly #choices: ChoiceFold[] = [];
  #started: ChatStarted | undefined;
  #finished: ChatFinished | undefined;

  /** Takes the next event. Throws UPSTREAM_GARBLED for an answer with an absurd number. */
  add(event: ChatEvent): void {
    if (event.case === "started") this.#started = event.value;
    else if (event.case === "finished") this.#finished = event.value;
    else this.#choice(event.value.choiceIndex).add(event);
  }

  /**
   * The answer so far. Decision, usage and cost are in it only when `started` and `finished` were
   * among the events.
   */
  response(): CreateChatResponse {
    const started = this.#started;
    const finished = this.#finished;
    const response: CreateChatResponse = {
      $typeName: "weir.v1.CreateChatResponse",
      choices: [],
      upstreamModelVersion: started?.upstreamModelVersion ?? "",
      vendorFields: "",
    };
    for (const choice of this.#choices) {
      const finish = response.choices.length === 0 ? finished?.finish : undefined;
      response.choices.push(choice.build(finish));
    }
    if (started?.decision !== undefined) response.decision = started.decision;
    if (started?.createTime !== undefined) response.createTime = started.createTime;
    if (finished?.usage !== undefined) response.usage = finished.usage;
    if (finished?.cost !== undefined) response.cost = finished.cost;
    return response;
  }

  #choice(index: number): ChoiceFold {
    const known = this.#choices[index];
    if (known !== undefined) return known;
    if (!(index >= 0 && index < CHOICES_MAX)) {
      throw new MeshError(
        "UPSTREAM_GARBLED",
        `The upstream sent an answer numbered ${index}. Try again.`,
      );
    }
    while (this.#choices.length < index) this.#choices.push(new ChoiceFold(this.#choices.length));
    const choice = new ChoiceFold(index);
    this.#choices[index] = choice;
    return choice;
  }
}

/** Events of one answer, without those that begin and end the whole. */
type ChoiceEvent = Exclude<ChatEvent, { case: "started" | "finished" }>;

/**
 * One answer as it grows. Strings grow by `+=`, which the engine keeps as ropes until somebody
 * reads them.
 */
class ChoiceFold {
  readonly #index: number;
  readonly #parts: ContentPart[] = [];
  /** The text that the next delta belongs to; undefined once another kind of part has begun. */
  #text: Text | undefined;
  #refusal: Refusal | undefined;
  #audio: Audio | undefined;
  readonly #sound: Uint8Array[] = [];
  readonly #reasoning = new Map<number, ReasoningPart>();
  readonly #toolCalls = new Map<number, ToolCall>();
  readonly #logprobs: TokenLogprob[] = [];
  readonly #refusalLogprobs: TokenLogprob[] = [];
  #finish: Finish | undefined;

  constructor(index: number) {
    this.#index = index;
  }

  add(event: ChoiceEvent): void {
    switch (event.case) {
      case "textDelta":
        this.#openText(true).text += event.value.text;
        return;
      case "reasoningDelta":
        this.#addReasoning(event.value);
        return;
      case "toolCallStarted": {
        const { id, name, custom, signature } = event.value;
        Object.assign(this.#toolCall(event.value.toolCallIndex), { id, name, custom, signature });
        return;
      }
      case "toolCallArgumentsDelta":
        this.#toolCall(event.value.toolCallIndex).arguments += event.value.arguments;
        return;
      case "toolCallDone":
        return;
      case "refusalDelta":
        this.#openRefusal().text += event.value.text;
        return;
      case "audioDelta":
        this.#addAudio(event.value);
        return;
      case "citationAdded":
        if (event.value.citation !== undefined) {
          this.#openText(false).citations.push(event.value.citation);
        }
        return;
      case "logprobsDelta":
        for (const logprob of event.value.logprobs) this.#logprobs.push(logprob);
        for (const logprob of event.value.refusalLogprobs) this.#refusalLogprobs.push(logprob);
        return;
      case "vendorPartAdded":
        if (event.value.part !== undefined) this.#push(decodeVendorPart(event.value.part));
        return;
      case "choiceFinished":
        this.#finish = event.value.finish;
        return;
      default:
        event satisfies never;
    }
  }

  build(finish: Finish | undefined): Choice {
    if (this.#audio !== undefined && this.#sound.length > 0) {
      const data = Buffer.concat(this.#sound);
      this.#audio.blob = {
        $typeName: "weir.v1.Blob",
        source: { case: "data", value: data },
        mediaType: "",
      };
    }
    const choice: Choice = {
      $typeName: "weir.v1.Choice",
      index: this.#index,
      message: {
        $typeName: "weir.v1.Message",
        role: Role.ASSISTANT,
        parts: this.#parts,
        name: "",
      },
      logprobs: this.#logprobs,
      refusalLogprobs: this.#refusalLogprobs,
    };
    const known = this.#finish ?? finish;
    if (known !== undefined) choice.finish = known;
    return choice;
  }

  #push(part: ContentPart["part"]): void {
    this.#text = undefined;
    this.#parts.push({ $typeName: "weir.v1.ContentPart", part });
  }

  /** A citation closes the text that it is about: what is said after it is a text of its own. */
  #openText(toGrow: boolean): Text {
    const open = this.#text;
    if (open !== undefined && !(toGrow && open.citations.length > 0 && open.text !== "")) {
      return open;
    }
    const text: Text = { $typeName: "weir.v1.Text", text: "", citations: [] };
    this.#push({ case: "text", value: text });
    this.#text = text;
    return text;
  }

  #openRefusal(): Refusal {
    if (this.#refusal === undefined) {
      this.#refusal = { $typeName: "weir.v1.Refusal", text: "" };
      this.#push({ case: "refusal", value: this.#refusal });
    }
    return this.#refusal;
  }

  #addReasoning(delta: ReasoningDelta): void {
    let part = this.#reasoning.get(delta.reasoningIndex);
    if (part === undefined) {
      part = { $typeName: "weir.v1.ReasoningPart", text: "", signature: "", redacted: "" };
      this.#reasoning.set(delta.reasoningIndex, part);
      this.#push({ case: "reasoning", value: part });
    }
    part.text += delta.text;
    if (delta.signature !== "") part.signature = delta.signature;
    if (delta.redacted !== "") part.redacted = delta.redacted;
  }

  #toolCall(index: number): ToolCall {
    let call = this.#toolCalls.get(index);
    if (call === undefined) {
      call = {
        $typeName: "weir.v1.ToolCall",
        id: "",
        name: "",
        arguments: "",
        custom: false,
        signature: "",
      };
      this.#toolCalls.set(index, call);
      this.#push({ case: "toolCall", value: call });
    }
    return call;
  }

  #addAudio(delta: AudioDelta): void {
    if (this.#audio === undefined) {
      this.#audio = { $typeName: "weir.v1.Audio", id: "", transcript: "" };
      this.#push({ case: "audio", value: this.#audio });
    }
    if (delta.id !== "") this.#audio.id = delta.id;
    if (delta.data.length > 0) this.#sound.push(delta.data);
    if (delta.expireTime !== undefined) this.#audio.expireTime = delta.expireTime;
    this.#audio.transcript += delta.transcript;
  }
}

function decodeVendorPart(part: { dialect: string; json: string }): ContentPart["part"] {
  if (part.dialect === OWN_PART_DIALECT) {
    return fromJsonString(ContentPartSchema, part.json, { ignoreUnknownFields: true }).part;
  }
  return {
    case: "vendor",
    value: { $typeName: "weir.v1.VendorPart", dialect: part.dialect, json: part.json },
  };
}
