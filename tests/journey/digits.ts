/**
 * What the number table of the phone network means for a lead, worked out here from the table's words alone, so that the system
 * and the expectation have no line of code in common.
 */
export interface Rules {
  maxAttempts: number;
  noAnswer: boolean;
  busy: boolean;
  /** Whether a call of unknown end is tried again. */
  unknown: boolean;
}

export interface Expected {
  status: 'reached' | 'unreached';
  disposition: string;
  score: number | null;
  temperature: 'hot' | 'warm' | 'cold' | null;
  /** Exact when nothing was disturbed on the way. */
  attempts: number;
}

const reached = (score: number, attempts = 1): Expected => ({
  status: 'reached',
  disposition: 'completed',
  score,
  temperature: score >= 70 ? 'hot' : score >= 40 ? 'warm' : 'cold',
  attempts,
});
const unreached = (disposition: string, again: boolean, maxAttempts: number): Expected => ({
  status: 'unreached',
  disposition,
  score: null,
  temperature: null,
  attempts: again ? maxAttempts : 1,
});

/** The end of a lead by the last two digits of its number. */
export const expectedEnd = (phone: string, rules: Rules): Expected => {
  const n = Number(phone.slice(-2));
  const { maxAttempts } = rules;
  if (n <= 49) return reached(100 - 2 * n);
  if (n <= 64) return unreached('no_answer', rules.noAnswer, maxAttempts);
  if (n <= 74) return unreached('busy', rules.busy, maxAttempts);
  if (n <= 84) return unreached('voicemail', false, maxAttempts);
  if (n <= 89) return unreached('failed', false, maxAttempts);
  if (n <= 94) return rules.noAnswer && maxAttempts > 1 ? reached(80, 2) : unreached('no_answer', false, maxAttempts);
  if (n <= 97) return reached(75);
  if (n === 98) return unreached('unknown', rules.unknown, maxAttempts);
  return reached(100);
};
