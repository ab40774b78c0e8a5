/** Summary mails through the whole system: the worker in workerd, the real mail client on the wire, the inbox, the Sentry sink. */
import { inject } from 'vitest';
import { expect, test } from 'vitest';
import { agentBody, call, createCampaign, until, type Tenant } from './client.ts';

interface Mail {
  id: string;
  type: string;
  status: string;
  reason: string | null;
}
interface Received {
  To: string;
  Metadata: Record<string, string>;
}
interface SentryEvent {
  error_type: string;
  level: string;
  contexts: { report?: { campaign_id?: string } };
}

const { adminKey, inboxUrl, sentryUrl } = inject('stack');

/** What the inbox's table says of each recipient: its mail's end, the mails that arrive, the reports. */
const RECIPIENTS: [mailbox: string, status: string, reason: RegExp | null, mails: number, reports: number][] = [
  ['someone', 'sent', null, 1, 0],
  ['inactive', 'failed', /inactive/, 0, 1],
  ['limit', 'sent', null, 1, 1],
  ['down', 'sent', null, 1, 1],
  ['lost', 'sent', null, 1, 0],
  ['drop', 'unknown', /may have been sent/, 0, 1],
  ['html', 'unknown', /may have been sent/, 0, 1],
];

const tenantOf = async (email: string): Promise<Tenant> => {
  const made = await call<{ account: { id: string }; api_key: string }>(adminKey, 'POST', '/v1/accounts', {
    body: { name: email, email },
  });
  const key = made.body.api_key;
  const agent = await call<{ id: string }>(key, 'POST', '/v1/agents', { body: agentBody() });
  return { key, account: made.body.account.id, agent: agent.body.id };
};

test('every recipient of the inbox’s table ends as its row says, reported once per failure (classes 32, 34)', async () => {
  const run = Date.now().toString(36);
  const scenes = await Promise.all(
    RECIPIENTS.map(async ([mailbox, ...expected], i) => {
      const tenant = await tenantOf(`${mailbox}+${run}@example.com`);
      const campaign = await createCampaign(tenant);
      const leads = [{ phone: `+1415555${String(10 + i)}00`, name: 'Ann' }];
      expect((await call(tenant.key, 'POST', `/v1/campaigns/${campaign}/leads`, { body: { leads } })).status).toBe(200);
      expect((await call(tenant.key, 'POST', `/v1/campaigns/${campaign}/start`)).status).toBe(200);
      return { mailbox, tenant, campaign, expected };
    }),
  );
  /** How it stands with all of them: status, mails in the inbox, reports. */
  const read = async () => {
    const inbox = (await (await fetch(`${inboxUrl}/messages`)).json()) as Received[];
    const events = (await (await fetch(`${sentryUrl}/events`)).json()) as SentryEvent[];
    return Promise.all(
      scenes.map(async ({ mailbox, tenant, campaign }) => {
        const { body } = await call<{ data: Mail[] }>(tenant.key, 'GET', '/v1/notifications');
        const summary = body.data.find(({ type }) => type === 'campaign_summary');
        const mails = inbox.filter(({ Metadata }) => Metadata.campaign_id === campaign && Metadata.type === 'campaign_summary');
        const reports = events.filter(
          ({ error_type, contexts }) =>
            error_type === 'campaign_summary_email_failed' && contexts.report?.campaign_id === campaign,
        );
        expect(reports.every(({ level }) => level === 'warning')).toBe(true);
        return {
          mailbox,
          status: summary?.status,
          reason: summary?.reason ?? null,
          mails: mails.length,
          reports: reports.length,
        };
      }),
    );
  };
  const wanted = scenes.map(({ mailbox, expected: [status, , mails, reports] }) => ({ mailbox, status, mails, reports }));
  // The last look-up comes an hour after the send: a minute at this speed.
  const seen = await until(
    read,
    (all) => JSON.stringify(all.map(({ reason: _reason, ...rest }) => rest)) === JSON.stringify(wanted),
    270_000,
  );
  for (const [i, { mailbox, reason }] of seen.entries()) {
    const [, , words] = RECIPIENTS[i]!;
    expect(reason, mailbox).toEqual(words === null ? null : expect.stringMatching(words));
  }
  expect(seen).toHaveLength(7);
}, 300_000);
