import { expect, test } from 'vitest';
import {
  averageMinutes,
  dispositionFigures,
  headFigures,
  scoreText,
  successRate,
  summarySubject,
} from '../../lib/domain/report.ts';
import { sample } from './sample.ts';

test('the success rate is reached ÷ leads dialled at least once, in whole per cent, and a dash when nobody was dialled', () => {
  const table: [reached: number, dialled: number, text: string][] = [
    [0, 0, '–'],
    [0, 7, '0%'],
    [7, 7, '100%'],
    [1, 3, '33%'],
    [2, 3, '67%'],
    [1, 8, '13%'],
    [1, 200, '1%'],
    [1, 201, '0%'],
    [41, 58, '71%'],
    [29, 200, '15%'], // 14.5, which as 0.145 × 100 would fall to 14
  ];
  for (const [reached, dialled, text] of table) expect(successRate({ reached, dialled }), `${reached}/${dialled}`).toBe(text);
  expect(table).toHaveLength(10);
});

test('the average is over completed calls alone, in minutes with one decimal', () => {
  const table: [seconds: number, calls: number, text: string][] = [
    [0, 0, '–'],
    [0, 3, '0.0'],
    [60, 1, '1.0'],
    [63, 1, '1.1'], // 1.05 minutes: halves go up
    [62, 1, '1.0'],
    [59, 1, '1.0'],
    [90, 2, '0.8'],
    [3567, 41, '1.5'],
    [35, 1, '0.6'],
    [36_000, 10, '60.0'],
  ];
  for (const [completed_seconds, completed_calls, text] of table) {
    expect(averageMinutes({ completed_seconds, completed_calls }), `${completed_seconds}/${completed_calls}`).toBe(text);
  }
  expect(table).toHaveLength(10);
});

test('the subject counts in the singular and the plural, and can end no header (class 35)', () => {
  const table: [name: string, hot: number, subject: string][] = [
    ['Spring', 0, 'Campaign complete: Spring — 0 hot leads'],
    ['Spring', 1, 'Campaign complete: Spring — 1 hot lead'],
    ['Spring', 2, 'Campaign complete: Spring — 2 hot leads'],
    ['Spring', 12_345, 'Campaign complete: Spring — 12345 hot leads'],
    ['A\r\nBcc: thief@example.com', 1, 'Campaign complete: A Bcc: thief@example.com — 1 hot lead'],
    ['tab\there\u0000\u0085\u2028\u2029.', 3, 'Campaign complete: tab here . — 3 hot leads'],
    ['\u202Eesrever', 1, 'Campaign complete: esrever — 1 hot lead'],
    ['حملة الربيع', 4, 'Campaign complete: حملة الربيع — 4 hot leads'],
    ['<b>"Q3" & more</b>', 1, 'Campaign complete: <b>"Q3" & more</b> — 1 hot lead'],
  ];
  for (const [name, hot, subject] of table) expect(summarySubject(name, hot), name).toBe(subject);
  expect(table).toHaveLength(9);
});

test('dispositions appear in a fixed order, only those that occurred, measured against the most frequent', () => {
  const figures = dispositionFigures({ dispositions: { unknown: 1, busy: 5, completed: 10, failed: 0 } });
  expect(figures).toEqual([
    { label: 'Completed', value: '10', share: 1 },
    { label: 'Busy', value: '5', share: 0.5 },
    { label: 'Unknown', value: '1', share: 0.1 },
  ]);
  expect(dispositionFigures({ dispositions: {} })).toEqual([]);
});

test('head figures and scores are plain text', () => {
  expect(headFigures({ ...sample().figures, leads: 1_000_000 }).map(({ value }) => value)).toEqual([
    '1,000,000',
    '41',
    '71%',
    '1.5',
  ]);
  expect([100, 92.5, 33.333, 0, null].map(scoreText)).toEqual(['100', '92.5', '33.33', '0', '–']);
});
