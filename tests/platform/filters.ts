/** The searches that the README tells people to save in Sentry, as predicates over a report's tags. */
import fs from 'node:fs';

export type Filter = (tags: Readonly<Record<string, unknown>>) => boolean;

/** Sentry's search: `tag:value` terms, NOT before AND before OR. */
const parse = (search: string): Filter => {
  const term = (text: string): Filter => {
    const [, not, tag, value] = /^(NOT )?(\w+):(\w+)$/.exec(text) ?? [];
    if (tag === undefined || value === undefined) throw new Error(`no search term: ${text}`);
    return (tags) => (String(tags[tag]) === value) === (not === undefined);
  };
  const either = search.split(' OR ').map((part) => part.split(' AND ').map(term));
  return (tags) => either.some((all) => all.every((holds) => holds(tags)));
};

/** As they stand in the README. @throws when one is missing there */
export const readmeFilters = (): Record<'ignore' | 'alert' | 'track', Filter> => {
  const readme = fs.readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const filter = (name: string): Filter => {
    const [, search] = new RegExp(`^- ${name}: \`(.+?)\``, 'm').exec(readme) ?? [];
    if (search === undefined) throw new Error(`the README has no filter to ${name}`);
    return parse(search);
  };
  return { ignore: filter('ignore'), alert: filter('alert'), track: filter('track') };
};
