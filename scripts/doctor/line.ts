/** What the doctor says of one thing, and how it gets onto the screen. */

export interface Line {
  verdict: 'OK' | 'WARN' | 'FAIL';
  /** What was looked at. */
  about: string;
  /** What it is like, without any secret. */
  says: string;
  /** How to mend it; always there unless all is well. */
  remedy?: string;
}

export const ok = (about: string, says: string): Line => ({ verdict: 'OK', about, says });
export const warn = (about: string, says: string, remedy: string): Line => ({ verdict: 'WARN', about, says, remedy });
export const fail = (about: string, says: string, remedy: string): Line => ({ verdict: 'FAIL', about, says, remedy });

export type Raw = Readonly<Record<string, string | undefined>>;

/** Names whose value is a secret as a whole. */
const SECRET = /_KEY$|_TOKEN$|_SECRET$|_SID$/;
/** A value shorter than this is a word that may stand in any sentence. */
const SHORTEST = 6;

/** As somebody else may write it, who undoes the escapes; as it stands where they are broken. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a bare %: its own line says so
  }
};

/** Every secret in these values: whole ones, the passwords in URLs, and the key in the Sentry DSN. */
export const secretsIn = (raw: Raw): string[] => {
  const found = Object.entries(raw).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const url = URL.parse(value);
    const inside = url ? [url.password, decoded(url.password), ...(name === 'SENTRY_DSN' ? [url.username] : [])] : [];
    return SECRET.test(name) ? [value, ...inside] : inside;
  });
  return [...new Set(found)].filter((secret) => secret.length >= SHORTEST).sort((a, b) => b.length - a.length);
};

const MARK = { OK: 'ok  ', WARN: 'WARN', FAIL: 'FAIL' } as const;

/** One line, and one below it with the remedy; no secret of `secrets` stands in it, whoever put it there. */
export const print = ({ verdict, about, says, remedy }: Line, secrets: readonly string[]): string => {
  const text = `${MARK[verdict]}  ${about}: ${says}${remedy === undefined ? '' : `\n      → ${remedy}`}`;
  return secrets.reduce((clean, secret) => clean.replaceAll(secret, '•••'), text);
};
