/**
 * A provider's structured analysis → score, temperature tag, evidence, reasons, and whether the person asked not to be called again. Validated, never
 * guessed: what cannot be read for sure is `invalid` and says why; nothing is read out of prose.
 *
 * Understood shapes: flat values, values nested in categories, and leaves such as Bolna's `{subjective, objective,
 * confidence_label}` or `{value, rationale}`; a JSON string of any of them.
 */
import { shortLine } from './plain-text.ts';
import type { Temperature } from './vocabulary.ts';

type Judged =
  | { state: 'valid'; score?: number; tag?: Temperature; evidence?: string; reasons?: readonly string[] }
  | { state: 'absent' }
  | { state: 'invalid'; reason: string };
/** `do_not_call` holds whatever the rest is worth. */
export type Analysis = Judged & { do_not_call?: true };

/** An agent's own names for what it says. */
export type Mapping = Readonly<Record<string, string>> | null;

/** Longest evidence kept, and longest of the reasons, in UTF-16 units. */
export const EVIDENCE_LIMIT = 500;
/** Reasons kept. */
export const MAX_REASONS = 20;

/** Names looked for where the agent has no mapping, best first; compared in {@link normal} form. */
const SCORE_NAMES = ['lead_score', 'score', 'interest_score', 'intent_score', 'qualification_score', 'lead_quality_score'];
const TAG_NAMES = ['lead_temperature', 'temperature', 'interest', 'interest_level'];
const REASON_NAMES = ['reasons', 'score_reasons', 'reason', 'score_reason', 'reasoning', 'rationale', 'justification'];
const SUMMARY_NAMES = ['summary', 'call_summary', 'notes'];
/** Fields that ask not to be called again, in {@link normal} form; the same words may be the value of an outcome. */
const DO_NOT_CALL =
  /^((is|wants|wants_to|asked|asked_to|requested|lead|customer)_)?(do_not_(call|contact)|don_?t_(call|contact)|dnc|opt(ed)?_?out|remove(_me)?_from_(the_)?(call(ing)?_)?list|unsubscribed?|stop_calling|no_more_calls|never_call)(_(again|request|requested|flag))?$/;
const OUTCOME_NAMES = new Set(['outcome', 'call_outcome', 'disposition', 'call_disposition', 'result', 'call_result']);
const YES = new Set(['true', 'yes', 'y', '1']);
const NOTHING = new Set(['', '-', '–', 'n/a', 'na', 'null', 'none', 'nil', 'unknown', 'undefined', 'not available']);
const MAX_DEPTH = 6;

/** One named value: `hard` is what the provider states, `soft` its words about it, `scale` the maximum its name states. */
interface Leaf {
  path: readonly string[];
  hard: unknown;
  soft: unknown;
  scale: number | null;
}

/** Without what stands in brackets of one kind. What is never closed is not searched for its end, again and again. */
const without = (name: string, close: string, closed: RegExp): string => {
  const end = name.lastIndexOf(close) + 1;
  return name.slice(0, end).replace(closed, ' ') + name.slice(end);
};

/** `Lead Score`, `leadScore`, `LEAD-SCORE (1-10)` → `lead_score`. */
const normal = (name: string): string =>
  without(without(name, ')', /\(.*?\)/gs), ']', /\[.*?\]/gs)
    .replace(/([\p{Ll}\d])(\p{Lu})/gu, '$1_$2')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '_')
    .replace(/^_+|_+$/g, '');

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A scale stated in a name: `Score (1-10)`, `Score [0 to 5]`, `Score (out of 10)`. */
const scaleOf = (name: string): number | null => {
  const match = /[([]\s*(?:[01]\s*(?:-|–|to)|out of|\/)\s*(\d{1,4})\s*[)\]]/i.exec(name);
  return match ? Number(match[1]) : null;
};

/** Whether nothing is said: null, an empty string, a word for "none". */
const isNothing = (value: unknown): boolean =>
  value === null || value === undefined || (typeof value === 'string' && NOTHING.has(value.trim().toLowerCase()));

const leafOf = (path: readonly string[], value: unknown): Leaf | null => {
  const scale = scaleOf(path.at(-1) ?? '');
  if (!isRecord(value)) return { path, hard: value, soft: value, scale };
  const keys = Object.keys(value);
  if (keys.includes('objective') || keys.includes('subjective')) {
    const hard = isNothing(value.objective) ? value.subjective : value.objective;
    return { path, hard, soft: isNothing(value.subjective) ? value.objective : value.subjective, scale };
  }
  if (keys.includes('value')) return { path, hard: value.value, soft: value.rationale ?? value.value, scale };
  return null;
};

const leavesOf = (value: Record<string, unknown>, path: readonly string[] = []): Leaf[] =>
  Object.entries(value).flatMap(([name, inner]) => {
    const here = [...path, name];
    const leaf = leafOf(here, inner);
    if (leaf) return [leaf];
    return isRecord(inner) && here.length < MAX_DEPTH ? leavesOf(inner, here) : [];
  });

/** The leaves that bear the best of `names` found, by their own name or together with their category's (`Lead` · `Score`). */
const named = (leaves: readonly Leaf[], names: readonly string[]): Leaf[] => {
  const said = leaves.filter((leaf) => !isNothing(leaf.hard));
  for (const name of names) {
    const found = said.filter(({ path }) => normal(path.at(-1) ?? '') === name || normal(path.slice(-2).join(' ')) === name);
    if (found.length > 0) return found;
  }
  return [];
};

/** Follows a dotted path of a mapping; case and spacing do not matter, and a key may itself hold dots. */
const follow = (value: unknown, path: string, walked: readonly string[] = []): Leaf | null => {
  if (!isRecord(value)) return null;
  for (const [name, inner] of Object.entries(value)) {
    if (normal(name) === normal(path)) return leafOf([...walked, name], inner);
  }
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    for (const [name, inner] of Object.entries(value)) {
      if (normal(name) !== normal(path.slice(0, dot))) continue;
      const leaf = follow(inner, path.slice(dot + 1), [...walked, name]);
      if (leaf) return leaf;
    }
  }
  return null;
};

/** `84`, `84.5`, `84%`, `8/10`, `8 out of 10` → 0 to 100; a string says why it is none. `scale` holds for a bare number only. */
const readScore = (value: unknown, scale: number | null): number | string => {
  if (typeof value !== 'number' && typeof value !== 'string')
    return `the score is ${Array.isArray(value) ? 'a list' : typeof value}`;
  // A number is taken as it is: an average has sixteen decimals.
  const pattern = /^([+-]?\d{1,9}(?:\.\d{1,30})?)\s*(?:(%)|(?:\/|out of)\s*(\d{1,4}))?$/i;
  const written = typeof value === 'string' ? pattern.exec(value.trim()) : null;
  const bare = typeof value === 'number' ? value : Number(written?.[1]);
  if (!Number.isFinite(bare)) return 'the score is not a number';
  const of = written?.[2] ? 100 : Number(written?.[3] ?? scale ?? 100);
  const score = Math.round((bare / of) * 10_000) / 100 + 0; // + 0 makes a negative zero plain
  return score >= 0 && score <= 100 ? score : `the score is not within 0 to ${of > 0 ? of : 100}`;
};

const readTag = (value: unknown): Temperature | null => {
  const match = typeof value === 'string' ? /^\s*(hot|warm|cold)(?:\s+lead)?\s*$/i.exec(value) : null;
  return match ? (match[1]?.toLowerCase() as Temperature) : null;
};

const readText = (value: unknown): string => {
  const text = Array.isArray(value) ? value.filter((v) => typeof v === 'string').join('; ') : value;
  return typeof text === 'string' && !isNothing(text) && !/^[\d\s.,%/+-]*$/.test(text) ? shortLine(text, EVIDENCE_LIMIT) : '';
};

/** A list as its texts, a text as its lines (each as it stands, without the mark of a list), best first as the analysis has them. */
const readReasons = (value: unknown): string[] => {
  const texts = Array.isArray(value) ? value : typeof value === 'string' ? value.split(/[\r\n]+/) : [];
  const lines = texts.map((text) => readText(typeof text === 'string' ? text.replace(/^\s*(?:[-*•–]|\d{1,2}[.)])\s+/, '') : ''));
  return lines.filter((line) => line !== '').slice(0, MAX_REASONS);
};

const parsed = (raw: unknown): unknown => {
  if (typeof raw !== 'string') return raw;
  try {
    return JSON.parse(raw);
  } catch {
    return raw; // no JSON: judged as the plain string it is
  }
};

/** Whether a field plainly says yes: a truth value, a word for it, or the request itself in words (`Do not call`). */
const saysYes = (value: unknown): boolean => {
  if (value === true || value === 1) return true;
  return typeof value === 'string' && (YES.has(value.trim().toLowerCase()) || DO_NOT_CALL.test(normal(value)));
};

const asksNotToBeCalled = (leaves: readonly Leaf[], mapped: Leaf | null | undefined): boolean => {
  if (mapped !== undefined) return mapped !== null && saysYes(mapped.hard);
  return leaves.some(({ path, hard }) => {
    const name = normal(path.at(-1) ?? '');
    if (DO_NOT_CALL.test(name)) return saysYes(hard);
    return OUTCOME_NAMES.has(name) && typeof hard === 'string' && DO_NOT_CALL.test(normal(hard));
  });
};

/**
 * Reads a provider's analysis.
 *
 * @param raw the structured data object as the provider gave it, or its JSON
 * @param mapping the agent's own paths, `{score: 'Lead.Score', temperature: …, evidence: …, reasons: …, do_not_call: …, score_max: '10'}`: where it
 *   names a path only that path counts, for the rest the usual names do. A bare number is out of 100 unless `score_max` or the field's
 *   name (`Score (1-10)`) states another scale.
 * @returns `absent` when neither a score nor a tag is said; a tag without a score is valid with the tag alone
 */
export const readAnalysis = (raw: unknown, mapping: Mapping): Analysis => {
  const data = parsed(raw);
  if (isNothing(data)) return { state: 'absent' };
  if (!isRecord(data)) return { state: 'invalid', reason: 'the analysis is not an object' };
  const leaves = leavesOf(data);
  const refused = asksNotToBeCalled(leaves, mapping?.do_not_call === undefined ? undefined : follow(data, mapping.do_not_call));
  return { ...judge(data, leaves, mapping), ...(refused && { do_not_call: true }) };
};

const judge = (data: Record<string, unknown>, leaves: readonly Leaf[], mapping: Mapping): Judged => {
  const find = (field: string, names: readonly string[]): Leaf[] => {
    const path = mapping?.[field];
    if (path === undefined) return named(leaves, names);
    const leaf = follow(data, path);
    return leaf && !isNothing(leaf.hard) ? [leaf] : [];
  };

  const scoreLeaves = find('score', SCORE_NAMES);
  const stated = mapping?.score_max === undefined ? null : Number(mapping.score_max);
  if (stated !== null && !(stated > 0)) return { state: 'invalid', reason: 'score_max of the mapping is not a positive number' };
  const scores = new Set(scoreLeaves.map((leaf) => readScore(leaf.hard, stated ?? leaf.scale)));
  if (scores.size > 1) return { state: 'invalid', reason: `${scores.size} different scores are given` };
  const [score] = scores;
  if (typeof score === 'string') return { state: 'invalid', reason: score };

  const tagLeaves = find('temperature', TAG_NAMES);
  const tags = new Set(tagLeaves.map((leaf) => readTag(leaf.hard)).filter((tag) => tag !== null));
  const isTemperature =
    mapping?.temperature !== undefined || tagLeaves.some(({ path }) => /temperature/i.test(path.at(-1) ?? ''));
  if (score === undefined && tags.size !== 1) {
    if (tags.size > 1) return { state: 'invalid', reason: 'different temperatures are given' };
    if (tagLeaves.length > 0 && isTemperature) return { state: 'invalid', reason: 'the temperature is none of Hot, Warm, Cold' };
    return { state: 'absent' };
  }

  const own = scoreLeaves.filter((leaf) => leaf.soft !== leaf.hard);
  const why = mapping?.reasons ? find('reasons', []) : [...named(leaves, REASON_NAMES), ...own];
  const reasons = why.map((leaf) => readReasons(leaf.soft)).find((lines) => lines.length > 0) ?? [];
  const words = (found: readonly Leaf[]): string[] => found.map((leaf) => readText(leaf.soft));
  // Whoever gives no evidence of its own is quoted with its reasons, at worst with its summary.
  const instead = (): string[] => [
    readText(reasons),
    ...words([...named(leaves, REASON_NAMES), ...own, ...named(leaves, SUMMARY_NAMES)]),
  ];
  const texts = mapping?.evidence ? words(find('evidence', [])) : [...words(named(leaves, ['evidence'])), ...instead()];
  const evidence = texts.find((text) => text !== '');
  const [tag] = tags.size === 1 ? tags : [];
  return {
    state: 'valid',
    ...(score === undefined ? {} : { score }),
    ...(tag === undefined ? {} : { tag }),
    ...(evidence === undefined ? {} : { evidence }),
    ...(reasons.length === 0 ? {} : { reasons }),
  };
};
