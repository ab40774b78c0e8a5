import { expect, test } from 'vitest';
import { composePaused } from '../../lib/domain/notice-mail.ts';
import { dispositionFigures, headFigures } from '../../lib/domain/report.ts';
import { composeSummary, type SummaryMailData, type TopLead } from '../../lib/domain/summary-mail.ts';
import { sample } from './sample.ts';

/** What a person reads: no tags, entities resolved, white space as one space. */
const readable = (markup: string): string =>
  markup
    .replace(/<style>[\s\S]*?<\/style>|<title>[\s\S]*?<\/title>|<!--[\s\S]*?-->/g, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(
      /&(lt|gt|quot|#39|nbsp|amp);/g,
      (_, name: string) => ({ lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: ' ', amp: '&' })[name] ?? '',
    )
    .replace(/\s+/g, ' ');
const plain = (text: string): string => text.replace(/[\u2068\u2069]/g, '').replace(/\s+/g, ' ');
const lead = (changes: Partial<TopLead> = {}): TopLead => ({
  name: 'Ann',
  phone: '+14155550100',
  score: 90,
  summary: 'Yes.',
  ...changes,
});
const withLeads = (top: TopLead[], hot = top.length, changes: Partial<SummaryMailData> = {}): SummaryMailData =>
  sample({ top, figures: { ...sample().figures, hot_leads: hot }, ...changes });

test('HTML and text say the same facts', () => {
  const data = sample();
  const mail = composeSummary(data);
  const facts = [
    'Campaign complete',
    data.campaignName,
    ...headFigures(data.figures).flatMap(({ label, value }) => [label, value]),
    ...dispositionFigures(data.figures).flatMap(({ label, value }) => [label, value]),
    'Top 5 of 12 hot leads',
    ...data.top.flatMap(({ name, phone, summary }) => [name ?? '', phone, summary ?? '']),
    '100',
    '92.5',
    'All 12 hot leads are in the attached file Spring_renewals_2026_hot_leads.csv',
  ];
  for (const fact of facts) {
    expect(readable(mail.html), fact).toContain(fact);
    expect(plain(mail.text), fact).toContain(fact);
  }
  for (const url of [data.campaignUrl, data.preferencesUrl]) {
    expect(mail.html).toContain(`href="${url}"`);
    expect(mail.text).toContain(url);
  }
  expect(mail.subject).toBe('Campaign complete: Spring renewals 2026 — 12 hot leads');
});

test('at most five hot leads are shown, in the order given', () => {
  const top = Array.from({ length: 7 }, (_, i) => lead({ name: `Lead number ${i}`, phone: `+1415555010${i}` }));
  const { html, text } = composeSummary(withLeads(top, 7));
  for (const body of [readable(html), text]) {
    const order = [0, 1, 2, 3, 4].map((i) => body.indexOf(`Lead number ${i}`));
    expect(order.every((at, i) => at > (order[i - 1] ?? 0))).toBe(true);
    expect(body).not.toContain('Lead number 5');
    expect(body).toContain('Top 5 of 7 hot leads');
  }
});

test('without hot leads it says so and names no file', () => {
  const { html, text, subject } = composeSummary(withLeads([], 0, { hotList: { kind: 'none' } }));
  for (const body of [readable(html), text]) {
    expect(body).toContain('No hot leads this time.');
    expect(body).not.toMatch(/csv|attached|Top /i);
  }
  expect(subject).toMatch(/ — 0 hot leads$/);
});

test('one hot lead is spoken of in the singular', () => {
  const { html, text, subject } = composeSummary(withLeads([lead()]));
  for (const body of [readable(html), plain(text)]) {
    expect(body).toContain('1 hot lead');
    expect(body).toContain('It is in the attached file');
    expect(body).not.toMatch(/1 hot leads/);
  }
  expect(subject).toMatch(/ — 1 hot lead$/);
});

test('a list too large for a mail is linked to', () => {
  const url = 'https://ringleader.example/links/abc.def';
  const { html, text } = composeSummary(withLeads([lead()], 50_000, { hotList: { kind: 'link', url, days: 7 } }));
  expect(html).toContain(`href="${url}"`);
  expect(text).toContain(url);
  for (const body of [readable(html), plain(text)]) {
    expect(body).toContain('50,000 hot leads');
    expect(body).toContain('good for 7 days');
    expect(body).not.toContain('attached');
  }
});

test('nothing that others wrote becomes markup, an attribute or a line of its own (class 35)', () => {
  const hostile = [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    `"><a href='https://evil.example'>x</a>`,
    '&lt;b&gt; & "quotes" \'too\'',
    '</style></title><body>',
    '<!-- --><![endif]-->',
    '${7*7}{{7*7}}',
    'a\r\n\r\nb\u0000c',
  ];
  for (const text of hostile) {
    const mail = composeSummary(withLeads([lead({ name: text, summary: text })], 1, { campaignName: text, accountName: text }));
    const clean = composeSummary(withLeads([lead({ name: 'x', summary: 'x' })], 1, { campaignName: 'x', accountName: 'x' }));
    const tags = (markup: string): string[] => markup.match(/<[^>]*>/g) ?? [];
    expect(tags(mail.html), text).toEqual(tags(clean.html));
    expect(readable(mail.html)).toContain(text.replaceAll('\0', ' ').replace(/\s+/g, ' '));
    expect(mail.text.split('\n')).toHaveLength(clean.text.split('\n').length);
    expect(mail.subject + mail.html.replace(/\n/g, '') + mail.text.replace(/\n/g, '')).not.toMatch(/\p{Cc}/u);
  }
  expect(hostile).toHaveLength(8);
});

test('right-to-left names are set apart and direction overrides removed', () => {
  const name = 'نور الهدى';
  const mail = composeSummary(withLeads([lead({ name, summary: 'abc\u202Etxt.exe\u2069' })], 1, { campaignName: name }));
  expect(mail.html).toContain(`<span dir="auto" style="unicode-bidi:isolate">${name}</span>`);
  expect(mail.text).toContain(`1. \u2068${name}\u2069\n`);
  expect(mail.html + mail.text.replace(/[\u2068\u2069]/g, '') + mail.subject).not.toMatch(/[\u202A-\u202E\u2066-\u2069]/);
  expect(mail.html).toContain('abctxt.exe');
});

test('evidence is one line of bounded length, and a lead without a name or a score still reads', () => {
  const { html, text } = composeSummary(withLeads([lead({ name: null, score: null, summary: `${'long '.repeat(100)}\nend` })]));
  const evidence = text.split('\n').find((line) => line.includes('long'));
  expect(evidence?.trim().length).toBeLessThanOrEqual(200);
  expect(evidence).toMatch(/ long…$/);
  expect(text).toContain('1. (no name)\n   +14155550100  score –');
  expect(html).not.toMatch(/null|undefined|NaN/);
  expect(text).not.toMatch(/null|undefined|NaN/);
});

test('the HTML keeps to what mail programs understand', () => {
  const { html } = composeSummary(sample());
  expect(html).toContain('<meta name="color-scheme" content="light dark"');
  expect(html).toContain('@media (prefers-color-scheme:dark)');
  expect(html).toMatch(/max-width: ?600px/);
  expect(html).not.toMatch(/<(script|img|link|form|iframe|svg|video)\b|javascript:|url\(|@import|\son\w+=/i);
  expect(html.length).toBeLessThan(60_000); // Gmail cuts a mail at 102 KB
  const opened = (html.match(/<(table|tr|td|div|span|p|a|h1|h2|b)\b/g) ?? []).length;
  expect((html.match(/<\/(table|tr|td|div|span|p|a|h1|h2|b)\s*>/g) ?? []).length).toBe(opened);
});

test('a paused campaign says why, in both bodies, escaped', () => {
  const mail = composePaused({
    ...sample({ campaignName: 'Q<3' }),
    reason: 'balance <low>\nat the provider',
    agent: null,
    calls: [],
  });
  expect(mail.subject).toBe('Campaign paused: Q<3');
  for (const body of [readable(mail.html), plain(mail.text)]) {
    expect(body).toContain('balance <low> at the provider');
    expect(body).toContain('Nobody is called until this is mended and the campaign goes on.');
  }
  expect(mail.html).not.toContain('<low>');
});
