/** The form that makes a campaign: what it shows, and what it sends in the contract's words. */
import { html } from 'hono/html';
import { getCountries } from 'libphonenumber-js/min';
import * as z from 'zod';
import { CampaignCreate, type Agent } from '../../lib/contract.ts';
import { isStorable } from '../../lib/domain/storable.ts';
import { Refusal, type Detail } from '../../lib/errors.ts';
import { alert, layout } from './layout.ts';
import { label, WEEKDAYS, type Html, type Viewer } from './words.ts';

type AgentView = z.infer<typeof Agent>;

/** What was typed, by field name; weekdays as the numbers that are ticked. */
export interface Typed {
  text: Readonly<Record<string, string>>;
  days: readonly string[];
}

/** The form as it is first shown: the contract's defaults, office hours on weekdays. */
export const blankForm = (viewer: Viewer, agents: readonly AgentView[]): Typed => ({
  text: {
    agent_id: agents[0]?.id ?? '',
    timezone: viewer.account.timezone,
    start: '09:00',
    end: '18:00',
    max_attempts: '3',
    no_answer_minutes: '60',
    busy_minutes: '15',
  },
  days: ['1', '2', '3', '4', '5'],
});

/** What a sent form holds. @throws {Refusal} 400 for text that the database cannot hold */
export const typedIn = (form: FormData): Typed => {
  const text: Record<string, string> = {};
  const days: string[] = [];
  form.forEach((value, name) => {
    if (typeof value !== 'string') return;
    if (!isStorable(value)) throw new Refusal(400, 'validation', `${label(name)} holds characters that cannot be kept.`);
    if (name === 'days') days.push(value);
    else text[name] = value.trim();
  });
  return { text, days };
};

/** A typed number; null when left empty; the text itself when it is no number, so that the schema says so. */
const numeric = (text: string | undefined): number | string | null => {
  if (text === undefined || text === '') return null;
  return /^-?\d+([.,]\d+)?$/.test(text) ? Number(text.replace(',', '.')) : text;
};
const RETRY_FIELDS = ['no_answer_minutes', 'busy_minutes', 'voicemail_minutes', 'failed_minutes', 'unknown_minutes'] as const;

type Parsed = { campaign: z.infer<typeof CampaignCreate> } | { errors: Detail[] };

const ruleOf = (issue: z.core.$ZodIssue): string => {
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'string') return 'is needed';
    return issue.path.at(-1) === 'calls_per_second' ? 'must be a number' : 'must be a whole number';
  }
  if (issue.code === 'too_small') {
    if (issue.origin === 'string') return 'is needed';
    return issue.inclusive ? `must be ${String(issue.minimum)} or more` : `must be more than ${String(issue.minimum)}`;
  }
  if (issue.code === 'too_big')
    return `must be at most ${String(issue.maximum)}${issue.origin === 'string' ? ' characters long' : ''}`;
  if (issue.code === 'invalid_format' && issue.format === 'uuid') return 'is needed';
  return issue.message;
};

/** Checks the form with the very schema that checks the API; one rule a field. A retry field left empty means: not retried. */
export const parseForm = ({ text, days }: Typed): Parsed => {
  const retry: Record<string, unknown> = Object.fromEntries(RETRY_FIELDS.map((field) => [field, numeric(text[field])]));
  const attempts = numeric(text['max_attempts']);
  if (attempts !== null) retry['max_attempts'] = attempts;
  const result = CampaignCreate.safeParse({
    name: text['name'],
    agent_id: text['agent_id'],
    timezone: text['timezone'] || null,
    default_country: text['default_country'] || null,
    window: { days: days.map(Number), start: text['start'], end: text['end'] },
    max_concurrent_calls: numeric(text['max_concurrent_calls']),
    calls_per_second: numeric(text['calls_per_second']),
    retry,
  });
  if (result.success) return { campaign: result.data };
  const errors = new Map<string, Detail>();
  for (const issue of result.error.issues) {
    const field = String(issue.path.findLast((key) => typeof key === 'string'));
    if (!errors.has(field)) errors.set(field, { field, rule: ruleOf(issue) });
  }
  return { errors: [...errors.values()] };
};

/** Every field that the form shows; an error about any other is said at the top. */
const SHOWN = new Set([
  'name',
  'agent_id',
  'days',
  'start',
  'end',
  'timezone',
  'default_country',
  'max_concurrent_calls',
  'calls_per_second',
  'max_attempts',
  ...RETRY_FIELDS,
]);

/** The last part of `window.end` or `retry.max_attempts`, which is what the form's field is called. */
const fieldOf = (detail: Detail): string => detail.field.split('.').findLast((part) => !/^\d+$/.test(part)) ?? '';

interface Shown {
  viewer: Viewer;
  agents: readonly AgentView[];
  typed: Typed;
  errors: readonly Detail[];
  /** A refusal that is about no one field. */
  message: string | null;
}

/** A field with its label, its hint and what is wrong with it. `control` gets the attributes that tie them together. */
const field = (shown: Shown, name: string, title: string, hint: string | null, control: (aria: Html) => Html): Html => {
  const errors = shown.errors.filter((detail) => fieldOf(detail) === name).map((detail) => detail.rule);
  const described = [hint !== null && `${name}-hint`, errors.length > 0 && `${name}-error`].filter(Boolean).join(' ');
  const aria = html`id="${name}" name="${name}" ${described && html`aria-describedby="${described}"`}
  ${errors.length > 0 && html`aria-invalid="true"`}`;
  return html`<div class="field">
    <label for="${name}">${title}</label>
    ${control(aria)} ${hint !== null && html`<p class="hint" id="${name}-hint">${hint}</p>`}
    ${errors.length > 0 && html`<p class="error" id="${name}-error">${title} ${errors.join(', and ')}.</p>`}
  </div>`;
};
const typedField = (shown: Shown, name: string, title: string, hint: string | null, kind: Html): Html =>
  field(shown, name, title, hint, (aria) => html`<input ${aria} ${kind} value="${shown.typed.text[name] ?? ''}" />`);
const numberField = (shown: Shown, name: string, title: string, hint: string | null = null): Html =>
  typedField(shown, name, title, hint, html`inputmode="numeric" autocomplete="off"`);
const choice = (
  shown: Shown,
  name: string,
  title: string,
  hint: string | null,
  options: readonly (readonly [string, string])[],
): Html =>
  field(
    shown,
    name,
    title,
    hint,
    (aria) =>
      html`<select ${aria}>
        ${options.map(([value, text]) => html`<option value="${value}" ${value === (shown.typed.text[name] ?? '') && html`selected`}>${text}</option>`)}
      </select>`,
  );

const days = (shown: Shown): Html => {
  const errors = shown.errors.filter((detail) => fieldOf(detail) === 'days');
  return html`<fieldset class="field" ${errors.length > 0 && html`aria-describedby="days-error"`}>
    <legend>Days</legend>
    <div class="days">
      ${WEEKDAYS.map(
        ([day, name]) =>
          html`<label
            ><input type="checkbox" name="days" value="${day}" ${shown.typed.days.includes(String(day)) && html`checked`} /><span
              >${name}</span
            ></label
          >`,
      )}
    </div>
    ${errors.length > 0 && html`<p class="error" id="days-error">Tick at least one day.</p>`}
  </fieldset>`;
};

const zones = (own: string): (readonly [string, string])[] =>
  [...new Set([own, 'UTC', ...Intl.supportedValuesOf('timeZone')])].map((zone) => [zone, zone.replaceAll('_', ' ')] as const);

const countries = (): (readonly [string, string])[] => {
  const names = new Intl.DisplayNames(['en'], { type: 'region' });
  const named = getCountries().map((code) => [code, names.of(code) ?? code] as const);
  return [['', 'None: every number has its country code'], ...named.sort((a, b) => a[1].localeCompare(b[1]))];
};

const more = (shown: Shown): Html => {
  const hidden = ['max_concurrent_calls', 'calls_per_second', 'max_attempts', ...RETRY_FIELDS];
  const open = shown.errors.some((detail) => hidden.includes(fieldOf(detail)));
  return html`<details class="more" ${open && html`open`}>
    <summary>More: limits and retries</summary>
    <div class="pair">
      ${numberField(shown, 'max_concurrent_calls', 'Calls at once', `Empty: the account's ${shown.viewer.account.max_concurrent_calls}.`)}
      ${numberField(shown, 'calls_per_second', 'Calls per second', 'Empty: as fast as the limits allow.')}
    </div>
    ${numberField(shown, 'max_attempts', 'Attempts per lead', 'The first call included.')}
    <fieldset class="field">
      <legend>Minutes until the next attempt</legend>
      <p class="hint">Empty: not called again.</p>
      <div class="pair">
        ${numberField(shown, 'no_answer_minutes', 'After no answer')} ${numberField(shown, 'busy_minutes', 'After busy')}
        ${numberField(shown, 'voicemail_minutes', 'After voicemail')} ${numberField(shown, 'failed_minutes', 'After failed')}
        ${numberField(shown, 'unknown_minutes', 'After unknown')}
      </div>
    </fieldset>
  </details>`;
};

const noAgents = html`<section class="card empty">
  <h2>First, a voice agent</h2>
  <p>
    A campaign needs an agent at your voice provider to do the talking. Add one with <code>POST /v1/agents</code>; the fields are
    in <a href="/docs">the API's description</a>.
  </p>
</section>`;

const form = (shown: Shown): Html => {
  const elsewhere = shown.errors
    .filter((detail) => !SHOWN.has(fieldOf(detail)))
    .map((detail) => `${detail.field} ${detail.rule}`);
  const summary = [shown.message, ...elsewhere].filter((text) => text !== null).join(' ');
  return html`<form method="post" action="/campaigns" class="card stack" data-once>
    ${alert(summary || (shown.errors.length > 0 ? 'Not saved yet: please look at the marked fields.' : null))}
    ${typedField(shown, 'name', 'Name', null, html`required maxlength="200" autocomplete="off"`)}
    ${choice(
      shown,
      'agent_id',
      'Voice agent',
      null,
      shown.agents.map((agent) => [agent.id, agent.paused_reason === null ? agent.name : `${agent.name} (paused)`] as const),
    )}
    <fieldset class="field">
      <legend>Calling window</legend>
      <p class="hint">Each lead is called only inside these hours of its own local time.</p>
      ${days(shown)}
      <div class="pair">
        ${typedField(shown, 'start', 'From', null, html`type="time" required`)}
        ${typedField(shown, 'end', 'Until', 'Earlier than “from”: it runs overnight.', html`type="time" required`)}
      </div>
    </fieldset>
    ${choice(shown, 'timezone', 'Time zone', 'For leads whose own zone is not known.', zones(shown.viewer.account.timezone))}
    ${choice(shown, 'default_country', 'Country of numbers without a country code', null, countries())} ${more(shown)}
    <div class="actions"><button class="primary">Create campaign</button><a class="button" href="/">Back</a></div>
  </form>`;
};

/** The page of the form; without a voice agent it says how to get one instead. */
export const campaignFormPage = (shown: Shown): Html =>
  layout({
    title: 'New campaign',
    viewer: shown.viewer,
    body: html`<div class="medium">
      <h1>New campaign</h1>
      ${shown.agents.length === 0 ? noAgents : form(shown)}
    </div>`,
  });
