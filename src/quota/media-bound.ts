import type { PromptBounds } from "../mesh/ask.ts";
import type { Target } from "../mesh/target.ts";

/**
 * Tokens that the images, the sound and the documents of a request come to at most. Vendors publish
 * rules by size, and nobody here decodes pictures: each counts as the largest that the vendor makes
 * of any picture.
 */
export function boundMedia(bounds: PromptBounds, target: Target): number {
  const { images, files } = bounds;
  const tokens = images === 0 ? 0 : images * imageTokens(target);
  return tokens + soundTokens(bounds) + (files === 0 ? 0 : documentTokens(bounds));
}

/**
 * The most tokens of one picture, by the model's name: the first rule that fits.
 *
 * OpenAI scales a picture to at most 8 tiles of 512 pixels and adds a base (gpt-4o: 85 + 8 × 170;
 * gpt-4o-mini bills 2,833 + 8 × 5,667), or cuts it into at most 1,536 patches that count 1.62, 1.72
 * or 2.46 times. Its newest models take 10,000 patches where the caller asks for the original.
 * Anthropic makes up to 4,784 tokens of a picture; Gemini up to 2,240, and older ones 258 for each
 * tile of 768 pixels. Self-hosted models with dynamic resolution take 16,384 patches unless told
 * otherwise.
 */
function imageTokens(target: Target): number {
  const known = imageRules.get(target);
  if (known !== undefined) return known;
  const name = target.upstreamModel.toLowerCase();
  const rule = IMAGE_RULES.find(([pattern]) => pattern.test(name));
  const tokens = rule?.[1] ?? (target.provider.dialect === "anthropic" ? 5_000 : 16_500);
  imageRules.set(target, tokens);
  return tokens;
}

const imageRules = new WeakMap<Target, number>();

const IMAGE_RULES: ReadonlyArray<readonly [RegExp, number]> = [
  [/gpt-4o-mini/, 48_500],
  [/gpt-4\.1-(?:mini|nano)|o4-mini|gpt-5(?:\.[0-3])?-(?:mini|nano)/, 4_000],
  [/gpt-4o|gpt-4\.1|gpt-4-turbo|gpt-4-vision|(?:^|\/)o[13]|gpt-5(?:\.[0-3])?(?![.\d])/, 2_000],
  [/gpt-5/, 26_000],
  [/claude/, 5_000],
];

/**
 * Vendors take 10 to 32 tokens for each second of sound; at 4 kbit/s, below any codec in use, a
 * second has 500 bytes. However short, a sound costs what a vendor takes for the shortest.
 */
function soundTokens({ sounds = 0, audioBytes }: PromptBounds): number {
  return sounds * SOUND_TOKENS_MIN + Math.ceil(audioBytes / 15);
}

const SOUND_TOKENS_MIN = 512;

/**
 * The text of a document is packed, about two to one, and each page may count as a picture too. Of
 * a document elsewhere nothing is known: about a hundred full pages.
 */
function documentTokens({ files, filesElsewhere, fileBytes }: PromptBounds): number {
  const unseen = filesElsewhere ?? (fileBytes === 0 ? files : 0);
  return unseen * 400_000 + (files - unseen) * 8_000 + fileBytes * 3;
}
