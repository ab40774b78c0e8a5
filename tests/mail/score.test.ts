import { expect, test } from 'vitest';
import { EVIDENCE_LIMIT, MAX_REASONS, readAnalysis, type Analysis } from '../../lib/domain/score.ts';

const absent: Analysis = { state: 'absent' };
const score = (value: number): Analysis => ({ state: 'valid', score: value });
const invalid = (reason: string): Analysis => ({ state: 'invalid', reason });
const unwanted = (analysis: Analysis): Analysis => ({ ...analysis, do_not_call: true });
const bolna = (objective: unknown): unknown => ({ Lead: { Score: { objective, confidence_label: 'High' } } });

const rows: [what: string, raw: unknown, expected: Analysis, mapping?: Record<string, string>][] = [
  ['nothing', undefined, absent],
  ['null', null, absent],
  ['an empty object', {}, absent],
  ['an empty string', '', absent],
  ['a summary alone', { General: { 'Call Summary': { subjective: 'Confirmed.', objective: 'confirmed' } } }, absent],
  ['a score said to be missing', bolna('N/A'), absent],
  ['prose', 'the lead was keen', invalid('the analysis is not an object')],
  ['a list', [84], invalid('the analysis is not an object')],
  ['a number for everything', 84, invalid('the analysis is not an object')],
  [
    "Bolna's shape, whole",
    {
      Lead: {
        Score: { objective: '84' },
        Temperature: { objective: 'Hot' },
        Evidence: { subjective: 'Asked for a quote by Friday.' },
      },
    },
    { state: 'valid', score: 84, tag: 'hot', evidence: 'Asked for a quote by Friday.' },
  ],
  ['the same as a JSON string', JSON.stringify(bolna('84')), score(84)],
  [
    'flat values',
    { score: 71, temperature: 'warm', reason: 'ok then' },
    { state: 'valid', score: 71, tag: 'warm', evidence: 'ok then', reasons: ['ok then'] },
  ],
  ['spaces and capitals', { 'LEAD  Score': '55' }, score(55)],
  ['camel case', { leadScore: 55.5 }, score(55.5)],
  ['kebab case', { 'interest-score': '12' }, score(12)],
  [
    'value with rationale',
    { score: { value: 90, rationale: 'ready to buy' } },
    { state: 'valid', score: 90, evidence: 'ready to buy', reasons: ['ready to buy'] },
  ],
  [
    "the score's own words as evidence",
    { Lead: { Score: { objective: 60, subjective: 'will think' } } },
    { state: 'valid', score: 60, evidence: 'will think', reasons: ['will think'] },
  ],
  ['a subjective number alone', { Lead: { Score: { subjective: '60' } } }, score(60)],
  ['zero', bolna('0'), score(0)],
  ['minus zero', bolna('-0'), score(0)],
  ['a hundred', bolna(100), score(100)],
  ['a per cent sign', bolna('84 %'), score(84)],
  ['a stated scale in the value', bolna('8/10'), score(80)],
  ['a stated scale in words', bolna('4 out of 5'), score(80)],
  ['a third, rounded to cents', bolna('1/3'), score(33.33)],
  ['an average with all its decimals', bolna(84.33333333333333), score(84.33)],
  ['the same as a text', bolna('84.33333333333333'), score(84.33)],
  ['an average out of ten', { 'Score (1-10)': 7.666666666666667 }, score(76.67)],
  ['nearly nothing', bolna(1e-7), score(0)],
  ['far too much', bolna(1e21), invalid('the score is not within 0 to 100')],
  ['brackets within brackets in the name', { 'Score ((1-10))': 8 }, score(80)],
  ['a bracket in the name that is never closed', { 'Score (': 8, [`a ${'([ '.repeat(100_000)}`]: 1 }, score(8)],
  ['a score far from its end', bolna(`5${' '.repeat(200_000)}x`), invalid('the score is not a number')],
  ['a stated scale in the name', { 'Score (1-10)': 8 }, score(80)],
  ['a stated scale of 0–1 in the name', { 'Score [0 to 1]': '0.8' }, score(80)],
  ['a scale stated by the mapping', { s: 8 }, score(80), { score: 's', score_max: '10' }],
  ['a bare 8 stays 8', bolna('8'), score(8)],
  ['a bare 0.8 stays 0.8', bolna(0.8), score(0.8)],
  ['over a hundred', bolna('101'), invalid('the score is not within 0 to 100')],
  ['under zero', bolna(-1), invalid('the score is not within 0 to 100')],
  ['over its scale', bolna('11/10'), invalid('the score is not within 0 to 10')],
  ['of nothing', bolna('8/0'), invalid('the score is not within 0 to 100')],
  ['NaN', bolna(Number.NaN), invalid('the score is not a number')],
  ['infinity', bolna(Number.POSITIVE_INFINITY), invalid('the score is not a number')],
  ['a boolean', bolna(true), invalid('the score is boolean')],
  ['an object', { score: { nested: 1 } }, absent],
  ['a list of numbers', bolna([84]), invalid('the score is a list')],
  ['a decimal comma, which may be thousands', bolna('84,5'), invalid('the score is not a number')],
  ['an exponent', bolna('1e1'), invalid('the score is not a number')],
  ['a number inside prose', bolna('about 84, I think'), invalid('the score is not a number')],
  ['a word', bolna('high'), invalid('the score is not a number')],
  [
    'two different scores of one rank',
    { A: { Score: { objective: 1 } }, B: { Score: { objective: 2 } } },
    invalid('2 different scores are given'),
  ],
  ['twice the same score', { A: { Score: { objective: 7 } }, B: { Score: { objective: '7' } } }, score(7)],
  ["the lead's score before another score", { Agent: { Score: { objective: 1 } }, Lead: { Score: { objective: 2 } } }, score(2)],
  ['a tag without a score', { Lead: { Temperature: { objective: 'Cold' } } }, { state: 'valid', tag: 'cold' }],
  ['a tag as a phrase', { interest: 'Hot lead' }, { state: 'valid', tag: 'hot' }],
  ['an interest that is no tag', { interest: 'in solar panels' }, absent],
  ['a temperature that is none', { temperature: 'boiling' }, invalid('the temperature is none of Hot, Warm, Cold')],
  ['two temperatures', { A: { temperature: 'hot' }, B: { temperature: 'cold' } }, invalid('different temperatures are given')],
  ['a useless tag beside a score', { score: 40, temperature: 'boiling' }, score(40)],
  ['a mapping by path', { Data: { 'Fit Grade': { objective: '64' } }, score: 1 }, score(64), { score: 'data.fit grade' }],
  ['a mapping into a leaf', { Data: { Grade: { objective: '64' } } }, score(64), { score: 'Data.Grade.objective' }],
  ['a mapping whose key holds a dot', { 'lead.grade': 64 }, score(64), { score: 'lead.grade' }],
  ['a mapped path that is not there: no guess', { score: 50 }, absent, { score: 'Lead.Score' }],
  [
    'a mapping of all three',
    { x: { s: '9/10', t: 'Warm', e: ['one', 'two'] } },
    { state: 'valid', score: 90, tag: 'warm', evidence: 'one; two' },
    { score: 'x.s', temperature: 'x.t', evidence: 'x.e' },
  ],
  ['a senseless scale', { s: 8 }, invalid('score_max of the mapping is not a positive number'), { score: 's', score_max: 'ten' }],
  [
    'evidence with control characters',
    { score: 1, evidence: ' a\u0000b\r\n\u202Ec ' },
    { state: 'valid', score: 1, evidence: 'a b c' },
  ],
  ['evidence that is only a number', { score: 1, evidence: '42' }, score(1)],
  [
    'a reason before a summary',
    { score: 1, summary: 'long story', reason: 'short' },
    { state: 'valid', score: 1, evidence: 'short', reasons: ['short'] },
  ],
  ['a prototype is no data', JSON.parse('{"__proto__":{"score":99}}'), score(99)],
  // Reasons stand by themselves; evidence falls back on them.
  [
    'a list of reasons',
    { Lead: { Score: 84, Reasons: ['Asked for a quote', ' has\tbudget ', '', 7], Evidence: 'Friday' } },
    { state: 'valid', score: 84, evidence: 'Friday', reasons: ['Asked for a quote', 'has budget'] },
  ],
  [
    'reasons as lines of a text, with the marks of a list',
    { score: 1, reasons: '- Asked for a quote\r\n* has budget; this year\n\n2. decides\n3.5 rooms' },
    {
      state: 'valid',
      score: 1,
      evidence: 'Asked for a quote; has budget; this year; decides; 3.5 rooms',
      reasons: ['Asked for a quote', 'has budget; this year', 'decides', '3.5 rooms'],
    },
  ],
  [
    'reasons in a leaf',
    { score: 1, 'Score Reasons': { value: ['one', 'two'] } },
    { state: 'valid', score: 1, evidence: 'one; two', reasons: ['one', 'two'] },
  ],
  ['reasons said to be none', { score: 1, reasons: 'none' }, score(1)],
  ['reasons that are none', { score: 1, reasons: { a: true }, reasoning: 42 }, score(1)],
  ['reasons without a score or a tag', { reasons: ['one'] }, absent],
  [
    'reasons by the path of a mapping',
    { score: 1, why: { not: ['one'] }, reason: 'x' },
    { state: 'valid', score: 1, evidence: 'one', reasons: ['one'] },
    { reasons: 'Why.Not' },
  ],
  [
    'a mapped path to reasons that is not there: no guess',
    { score: 1, reason: 'x' },
    { state: 'valid', score: 1, evidence: 'x' },
    { reasons: 'Why.Not' },
  ],
  // Whether to be called again is asked apart from the score, and counts whatever the score is worth.
  ['a plain request', { do_not_call: true }, unwanted(absent)],
  ['a request in a word', { Compliance: { 'Do Not Call': { objective: 'Yes', subjective: 'said so' } } }, unwanted(absent)],
  ['a request beside a score', { score: 9, doNotCall: 'true' }, unwanted(score(9))],
  ['a request beside a score that is none', { score: 'low', dnc: 'YES ' }, unwanted(invalid('the score is not a number'))],
  ['a request as value and rationale', { opt_out: { value: true, rationale: 'asked twice' } }, unwanted(absent)],
  ['a request by other names', { 'Remove from calling list': 1 }, unwanted(absent)],
  ['a request with an apostrophe', { "Don't call again": 'y' }, unwanted(absent)],
  ['a request in its own words', { do_not_contact: 'Do not contact' }, unwanted(absent)],
  ['a request as the outcome', { call_outcome: 'DNC' }, unwanted(absent)],
  ['a request in JSON', '{"opted_out":"1"}', unwanted(absent)],
  ['one yes among several', { A: { dnc: 'no' }, B: { dnc: 'yes' } }, unwanted(absent)],
  ['no request', { do_not_call: false, dnc: 'no', opt_out: 0, unsubscribe: '' }, absent],
  ['a request nobody is sure of', { do_not_call: 'maybe', dnc: 'unknown', opt_out: 'if he calls again' }, absent],
  ['a negated request', { do_not_call: 'not requested' }, absent],
  ['a list of requests', { do_not_call: ['yes'] }, absent],
  ['a field that only sounds like it', { call_again: true, do_not_disturb: true, optimal: 'yes' }, absent],
  ['an outcome of another kind', { outcome: 'called back' }, absent],
  ['prose that says it', 'do not call', invalid('the analysis is not an object')],
  ['a request by the path of a mapping', { Legal: { Wish: 'yes' } }, unwanted(absent), { do_not_call: 'Legal.Wish' }],
  ['a mapped value in words', { Legal: { Wish: 'Do not call' } }, unwanted(absent), { do_not_call: 'legal.wish' }],
  ['a mapped path that is not there: no guess', { do_not_call: true }, absent, { do_not_call: 'Legal.Wish' }],
];

test('every shape of an analysis is read, absent or invalid as the table says, never guessed (class 37)', () => {
  for (const [what, raw, expected, mapping] of rows) expect(readAnalysis(raw, mapping ?? null), what).toEqual(expected);
  expect(rows).toHaveLength(62 + 8 + 29);
});

test('twenty reasons are kept, each cut to the limit', () => {
  const analysis = readAnalysis({ score: 1, reasons: Array.from({ length: 30 }, (_, i) => `${i} ${'word '.repeat(200)}`) }, null);
  const reasons = analysis.state === 'valid' ? (analysis.reasons ?? []) : [];
  expect(reasons).toHaveLength(MAX_REASONS);
  expect(reasons.filter((reason) => reason.length > EVIDENCE_LIMIT)).toEqual([]);
});

test('evidence is cut at a word to its limit, and never in the middle of a character', () => {
  const read = (evidence: string): string => {
    const analysis = readAnalysis({ score: 1, evidence }, null);
    return analysis.state === 'valid' ? (analysis.evidence ?? '') : '';
  };
  const exact = 'x'.repeat(EVIDENCE_LIMIT);
  expect(read(exact)).toBe(exact);
  const words = read('word '.repeat(200));
  expect(words.length).toBeLessThanOrEqual(EVIDENCE_LIMIT);
  expect(words).toMatch(/ word…$/);
  const emoji = read('🔥'.repeat(400));
  expect(emoji.length).toBeLessThanOrEqual(EVIDENCE_LIMIT);
  expect(emoji.isWellFormed()).toBe(true);
  expect(read('a\uD800b').isWellFormed()).toBe(true);
});
