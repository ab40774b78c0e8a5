/** One campaign with one lead against a deployed instance, followed over the public API from its making to its mail. */
import * as z from 'zod';
import { Account, AccountStatus, AgentOut, Explain, Id, Lead, LeadWithCalls, Notification, page } from '../../lib/contract.ts';
import { CAMPAIGN_STATUSES } from '../../lib/domain/vocabulary.ts';
import { ApiError, type Call, callApi } from '../../local/api-client.ts';

export interface SmokeOptions {
  /** Without a trailing slash. */
  url: string;
  apiKey: string;
  /** E.164. */
  phone: string;
  /** Which agent calls; undefined: the account's only one. */
  agent: string | undefined;
  /** Real milliseconds for the call to end and be analysed. */
  callMs: number;
  /** Real milliseconds, from the campaign's end on, for its mail. */
  mailMs: number;
  say: (line: string) => void;
}

/** What is wrong, in one line, with what to do. */
export class SmokeFailure extends Error {
  override name = 'SmokeFailure';
}

const POLL_MS = 1000;
const Campaign = z.object({ id: Id, status: z.enum(CAMPAIGN_STATUSES) });
const Counted = z.object({
  imported: z.int(),
  suppressed: z.int(),
  invalid: z.int(),
  errors: z.array(z.object({ message: z.string() })),
});
type Api = <T>(call: Omit<Call<T>, 'key'>) => Promise<T>;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const checkHealth = async ({ url, say }: SmokeOptions): Promise<void> => {
  let response: Response;
  try {
    response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new SmokeFailure(`nobody answers at ${url}: look at --url; npm run doctor tells more`);
  }
  const body = await response.text();
  if (response.status === 200 && body.includes('"ok"')) return say('health: ok');
  const message = /"message":"([^"]*)"/.exec(body)?.[1];
  throw new SmokeFailure(
    `${url}/health answers ${response.status}${message ? `: ${message}` : ''}; npm run doctor tells how to mend it`,
  );
};

const checkAccount = async (api: Api, say: SmokeOptions['say']): Promise<void> => {
  try {
    const account = await api({ path: '/v1/account', answer: Account });
    say(`account: ${account.name}, at most ${account.max_concurrent_calls} calls at once, mails go to ${account.email}`);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401)
      throw new SmokeFailure(
        'the API key is not accepted: take one of this instance, from POST /v1/accounts or POST /v1/api-keys',
        { cause: error },
      );
    throw error;
  }
  const status = await api({ path: '/v1/status', answer: AccountStatus });
  const off = status.mails_off.map(({ type, reason }) => `${type} (${reason})`);
  say(off.length === 0 ? 'mails: all switched on' : `mails switched off: ${off.join(', ')}`);
  if (status.email_problem !== null) say(`mails: the account's address has a problem: ${status.email_problem}`);
};

const chooseAgent = async (api: Api, wanted: string | undefined): Promise<z.infer<typeof AgentOut>> => {
  const { data } = await api({ path: '/v1/agents?limit=200', answer: page(AgentOut) });
  const [only] = wanted === undefined ? data : data.filter(({ id }) => id === wanted);
  if (only === undefined)
    throw new SmokeFailure(
      wanted === undefined ? 'the account has no agent yet: make one with POST /v1/agents' : `the account has no agent ${wanted}`,
    );
  if (wanted === undefined && data.length > 1)
    throw new SmokeFailure(
      `the account has ${data.length} agents: say which with --agent (${data.map(({ id, name }) => `${id} ${name}`).join(', ')})`,
    );
  return only;
};

/** A draft with the one lead in it. */
const prepare = async (api: Api, { phone, say }: SmokeOptions, agent: z.infer<typeof AgentOut>, now: Date): Promise<string> => {
  const window = { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' };
  const body = { name: `Smoke test ${now.toISOString()}`, agent_id: agent.id, window, retry: { max_attempts: 1 } };
  const { id } = await api({ method: 'POST', path: '/v1/campaigns', body, answer: Campaign });
  const leads = { leads: [{ phone, name: 'Smoke test' }] };
  const counted = await api({ method: 'POST', path: `/v1/campaigns/${id}/leads`, body: leads, answer: Counted });
  if (counted.invalid > 0) throw new SmokeFailure(`the number is refused: ${counted.errors[0]?.message ?? 'invalid'}`);
  if (counted.suppressed > 0)
    throw new SmokeFailure('the number is on the account’s suppression list: DELETE /v1/suppressions/:phone, or take another');
  say(`campaign: ${id}, made with agent ${agent.name} (${agent.provider})`);
  return id;
};

/** Follows the one lead until the campaign is over; says every change. @throws {SmokeFailure} when that takes too long */
const follow = async (api: Api, { callMs, say }: SmokeOptions, id: string): Promise<z.infer<typeof LeadWithCalls>> => {
  const { data } = await api({ path: `/v1/campaigns/${id}/leads`, answer: page(Lead) });
  const lead = data[0]?.id ?? '';
  let said = '';
  for (const until = Date.now() + callMs; ; await wait(POLL_MS)) {
    const campaign = await api({ path: `/v1/campaigns/${id}`, answer: Campaign });
    const now = await api({ path: `/v1/leads/${lead}`, answer: LeadWithCalls });
    const call = now.calls.at(-1);
    const why = call === undefined ? await api({ path: `/v1/leads/${lead}/explain`, answer: Explain }) : undefined;
    const waits = why?.reasons.map(({ code, message }) => `${code}: ${message}`).join('; ');
    const state = call ? `call: ${call.status}` : `lead: ${now.status}${waits ? `, ${waits}` : ''}`;
    if (state !== said) say(state);
    said = state;
    if (campaign.status === 'completed' || campaign.status === 'canceled') return now;
    if (campaign.status === 'paused')
      throw new SmokeFailure(
        'the campaign was paused: GET /v1/campaigns/:id says why; most often the provider refuses the key or the credit',
      );
    if (Date.now() > until)
      throw new SmokeFailure(
        `the campaign is not over after ${Math.round(callMs / 60_000)} minutes (${state}): see "Nothing is dialled" and "Calls do not end" in docs/runbook.md`,
      );
  }
};

/** @throws {SmokeFailure} when the summary was neither sent nor skipped in time */
const followMail = async (api: Api, { mailMs, say }: SmokeOptions, id: string): Promise<void> => {
  for (const until = Date.now() + mailMs; ; await wait(POLL_MS)) {
    const { data } = await api({ path: '/v1/notifications?limit=200', answer: page(Notification) });
    const summary = data.find(({ type, campaign_id }) => type === 'campaign_summary' && campaign_id === id);
    if (summary?.status === 'sent') return say(`mail: sent to ${summary.recipient} (${summary.provider_message_id ?? 'no id'})`);
    if (summary?.status === 'skipped') return say(`mail: skipped, ${summary.reason ?? 'no reason given'}`);
    if (summary?.status === 'failed') throw new SmokeFailure(`the mail failed: ${summary.reason ?? 'no reason given'}`);
    if (Date.now() > until)
      throw new SmokeFailure(
        `no mail within ${Math.round(mailMs / 60_000)} minutes (${summary?.status ?? 'none owed'}${summary?.reason ? `, ${summary.reason}` : ''}): see the mail checklist in docs/runbook.md`,
      );
  }
};

/**
 * Runs it all. A campaign that did not come to its end is canceled, so that nobody is called afterwards.
 * @throws {SmokeFailure} @throws {ApiError} in one line
 */
export const smoke = async (options: SmokeOptions, now: Date): Promise<void> => {
  const { url, apiKey, say } = options;
  const api: Api = (call) => callApi(url, { ...call, key: apiKey });
  await checkHealth(options);
  await checkAccount(api, say);
  const agent = await chooseAgent(api, options.agent);
  const id = await prepare(api, options, agent, now);
  const act = (verb: string): Promise<unknown> =>
    api({ method: 'POST', path: `/v1/campaigns/${id}/${verb}`, answer: z.unknown() });
  try {
    await act('start');
    say('campaign: started');
    const { status, calls, score } = await follow(api, options, id);
    const call = calls.at(-1);
    if (call === undefined) throw new SmokeFailure(`the campaign is over and nobody was called (lead: ${status})`);
    const lasted = call.duration_seconds === null ? '' : `, ${Math.round(call.duration_seconds)} s`;
    say(
      `outcome: ${call.disposition ?? 'none'}${lasted}, lead ${status}, score ${score ?? 'none'}${call.reason ? `, ${call.reason}` : ''}`,
    );
    if (call.disposition === 'failed' || call.disposition === 'unknown')
      throw new SmokeFailure(
        `the call ended as ${call.disposition}: ${call.reason ?? 'the provider gives no reason'}; look it up there`,
      );
  } catch (error) {
    await act('cancel').then(
      () => say('campaign: canceled, nobody is called any more'),
      () => undefined, // it was over already, or the first failure says why
    );
    throw error;
  }
  await followMail(api, options, id);
};
