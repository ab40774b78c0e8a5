import { describe, expect, it } from 'vitest';
import { seeded } from './csv-writer.ts';
import { isKnownCountry, normalisePhone } from '../../lib/domain/phone.ts';

/**
 * Expected values are written by hand from the national numbering plans (ITU-T E.164 calling codes, trunk prefixes), with
 * numbers set aside for fiction where a plan has them: NANP 555-01xx, Ofcom 020 7946 0xxx and 07700 900xxx, ACMA 0491 570 xxx,
 * ARCEP 06 39 98 xx xx.
 */
const GOOD: [text: string, country: string | null, e164: string][] = [
  ['+12025550123', null, '+12025550123'],
  ['+1 (202) 555-0123', null, '+12025550123'],
  ['+1 (202) 555-0123', 'IN', '+12025550123'],
  ['(202) 555-0123', 'US', '+12025550123'],
  ['202.555.0123', 'US', '+12025550123'],
  ['202 555 0123', 'CA', '+12025550123'],
  ['1-202-555-0123', 'US', '+12025550123'],
  ['12025550123', 'US', '+12025550123'],
  ['0012025550123', 'US', '+12025550123'],
  ['00 1 202 555 0123', 'IN', '+12025550123'],
  ['(00) 44 20 7946 0123', 'US', '+442079460123'],
  ['(+44) 20 7946 0123', null, '+442079460123'],
  ['00(44)20 7946 0123', null, '+442079460123'],
  ['(0044) 20 7946 0123', null, '+442079460123'],
  ['0091 98765 43210', 'US', '+919876543210'],
  ['0091-98765-43210', null, '+919876543210'],
  ['011 44 20 7946 0123', 'US', '+442079460123'],
  ['020 7946 0123', 'GB', '+442079460123'],
  ['+44 (0)20 7946 0123', null, '+442079460123'],
  ['07700 900123', 'GB', '+447700900123'],
  ['098765 43210', 'IN', '+919876543210'],
  ['919876543210', 'IN', '+919876543210'],
  ['98765 43210', 'IN', '+919876543210'],
  ['0491 570 006', 'AU', '+61491570006'],
  ['06 39 98 01 23', 'FR', '+33639980123'],
  ['+33 (0) 6 39 98 01 23', null, '+33639980123'],
  ['06 1234 5678', 'IT', '+390612345678'],
  ['8 (912) 345-67-89', 'RU', '+79123456789'],
  ['138 0013 8000', 'CN', '+8613800138000'],
  ['(11) 98765-4321', 'BR', '+5511987654321'],
  ['030/901820', 'DE', '+4930901820'],
  ['+65 6123 4567', null, '+6561234567'],
  ['+290 2000 1', null, '+29020001'],
  ['\u202a+1 202-555-0123\u202c', null, '+12025550123'],
  ['＋１２０２５５５０１２３', null, '+12025550123'],
  ['+١٢٠٢٥٥٥٠١٢٣', null, '+12025550123'],
  ['+1\u00a0202\u00a0555\u20110123', null, '+12025550123'],
  ["'+12025550123", null, '+12025550123'],
  ['="2025550123"', 'US', '+12025550123'],
  ['tel:+1-202-555-0123', null, '+12025550123'],
  ['p:+12025550123', null, '+12025550123'],
  ['12025550123.0', 'US', '+12025550123'],
  ['  +12025550123\n', null, '+12025550123'],
];

const BAD: [text: string, country: string | null, code: string, says: RegExp][] = [
  ['', 'US', 'missing_phone', /no telephone number/],
  [' \u200b ', 'US', 'missing_phone', /no telephone number/],
  ['9.19877E+11', 'IN', 'scientific_notation', /scientific notation/],
  ['9,19877E+11', 'IN', 'scientific_notation', /scientific notation/],
  ['1.20256E+10', null, 'scientific_notation', /scientific notation/],
  ['9E11', 'US', 'scientific_notation', /scientific notation/],
  ['+9.19877e+11', 'US', 'scientific_notation', /scientific notation/],
  ['+1 202 555 0123 ext. 5', null, 'extension', /extension/],
  ['202-555-0123x12', 'US', 'extension', /extension/],
  ['202-555-0123 #12', 'US', 'extension', /extension/],
  ['202-555-0123 (ext 7)', 'US', 'extension', /extension/],
  ['+12025550123,,5', null, 'extension', /extension/],
  ['+12025550123;ext=5', null, 'extension', /extension/],
  ['202 555 0123 extension 9', 'US', 'extension', /extension/],
  ['202 555 0123', null, 'no_country', /with \+ and the country code\.$/],
  ['12025550123', null, 'no_country', /with \+ and the country code\.$/],
  ['202 555 0123', 'XX', 'no_country', /with \+ and the country code\.$/],
  ['555-0123', 'US', 'invalid_phone', /too few/],
  ['+1 202 555 012', null, 'invalid_phone', /too few/],
  ['+1 202 555 01234', null, 'invalid_phone', /too many/],
  ['+12345678901234567890', null, 'invalid_phone', /too many|not/],
  ['202-555-0101 / 202-555-0102', 'US', 'invalid_phone', /more than one/],
  ['202-555-0101; 202-555-0102', 'US', 'invalid_phone', /not a telephone/],
  ['911', 'US', 'invalid_phone', /too few/],
  ['112', 'DE', 'invalid_phone', /too few|length/],
  ['+49 112', null, 'invalid_phone', /too few|length/],
  ['+999 123 456 789', null, 'invalid_phone', /does not exist/],
  ['1-800-FLOWERS', 'US', 'invalid_phone', /not a telephone/],
  ['call 202-555-0123', 'US', 'invalid_phone', /not a telephone/],
  ['n/a', 'US', 'invalid_phone', /not a telephone/],
  ['n/a', null, 'invalid_phone', /not a telephone/],
  ['-', 'US', 'invalid_phone', /./],
  ['+', null, 'invalid_phone', /./],
  ['00', 'US', 'invalid_phone', /./],
  ['0', 'US', 'invalid_phone', /./],
  ['=1+1', 'US', 'invalid_phone', /not a telephone/],
  ['ann@example.com', 'US', 'invalid_phone', /not a telephone/],
  ['1'.repeat(5000), 'US', 'invalid_phone', /./],
  ['+1 202 555 0123 or later', null, 'invalid_phone', /not a telephone/],
  ["+1202555'; drop table leads;--", null, 'invalid_phone', /not a telephone/],
];

describe('a telephone number', () => {
  it('becomes one E.164 form however it is written (class 43)', () => {
    let rows = 0;
    for (const [text, country, e164] of GOOD) {
      expect(normalisePhone(text, country), `${JSON.stringify(text)} in ${country}`).toEqual({ ok: true, e164 });
      rows += 1;
    }
    expect(rows).toBe(43);
  });

  it('is the same number when it is normalised again, in any country (class 43)', () => {
    for (const [, , e164] of GOOD) {
      for (const country of [null, 'US', 'IN', 'DE']) expect(normalisePhone(e164, country)).toEqual({ ok: true, e164 });
    }
  });

  it('of North America takes a short way to the very answer of the parser (class 43)', () => {
    const random = seeded(1);
    const digits = (n: number): string => Array.from({ length: n }, () => Math.floor(random() * 10)).join('');
    let rows = 0;
    for (let area = 100; area < 1000; area += 1) {
      for (const start of ['', '+1', '1', '+', '1 ', '+1-', '+1 (', '(']) {
        const close = start.endsWith('(') ? ')' : '';
        const text = `${start}${area}${close}${['', ' ', '-', '.'][area % 4]}${digits(3)}-${digits(4)}`;
        for (const country of ['US', 'CA', 'IN', 'BB', null]) {
          // Behind an invisible character the number goes the long way.
          expect(normalisePhone(text, country), `${text} in ${country}`).toEqual(normalisePhone(`\u200b${text}`, country));
          rows += 1;
        }
      }
    }
    expect(rows).toBe(36_000);
  });

  it('is refused with the reason when it cannot be dialled, and never guessed', () => {
    let rows = 0;
    for (const [text, country, code, says] of BAD) {
      const result = normalisePhone(text, country);
      expect(result, `${JSON.stringify(text.slice(0, 40))} in ${country}`).toMatchObject({ ok: false, code });
      if (!result.ok) expect(result.message).toMatch(says);
      rows += 1;
    }
    expect(rows).toBe(40);
  });

  it('never repeats the number in the message, which may be logged (class 30)', () => {
    for (const [text, country] of BAD) {
      const result = normalisePhone(text, country);
      const digits = text.replace(/\D/g, '');
      if (!result.ok && digits.length > 4) expect(result.message).not.toContain(digits.slice(0, 5));
    }
  });
});

it('knows a country by its numbering plan', () => {
  expect(['US', 'IN', 'GB', 'DE'].every(isKnownCountry)).toBe(true);
  expect(['XX', 'us', '', 'ZZ', 'constructor', '__proto__'].some(isKnownCountry)).toBe(false);
});
