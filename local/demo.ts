/** The demo: a real campaign from a CSV to its summary mail, through the HTTP API alone. */
import fs from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import * as z from 'zod';
import { Campaign, ImportReport, Notification, page } from '../lib/contract.ts';
import { ApiError, callApi } from './api-client.ts';
import type { Stack } from './stack.ts';

const EXAMPLE = path.resolve(import.meta.dirname, '..', 'examples', 'leads.csv');
type CampaignOut = z.infer<typeof Campaign>;

export interface DemoOptions {
  stack: Stack;
  /** The leads; the project's example when undefined. */
  csv: string | undefined;
  say: (line: string) => void;
  /** True once the system is being taken down. */
  stopped: () => boolean;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

const read = ({ url, apiKey }: Stack, id: string): Promise<CampaignOut> =>
  callApi(url, { path: `/v1/campaigns/${id}`, key: apiKey, answer: Campaign });

/** The campaign that the last start left unfinished, if it did. */
const unfinished = async (stack: Stack): Promise<{ campaign: CampaignOut; csv: string } | undefined> => {
  const known = stack.state.value.demo;
  if (!known) return undefined;
  try {
    const campaign = await read(stack, known.campaign_id);
    return campaign.status === 'completed' || campaign.status === 'canceled' ? undefined : { campaign, csv: known.csv };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined; // deleted by hand
    throw error;
  }
};

/** Quick to its end at the demo's speed: all week, retries after minutes, and calls cut off by a kill are tried again. */
const create = async (stack: Stack, csv: string): Promise<CampaignOut> => {
  const campaign = await callApi(stack.url, {
    method: 'POST',
    path: '/v1/campaigns',
    key: stack.apiKey,
    body: {
      name: `Demo: ${path.basename(csv)}`,
      agent_id: stack.agentId,
      default_country: 'US',
      window: { days: [1, 2, 3, 4, 5, 6, 7], start: '00:00', end: '24:00' },
      retry: { max_attempts: 3, no_answer_minutes: 20, busy_minutes: 10, unknown_minutes: 5 },
    },
    answer: Campaign,
  });
  stack.state.set({ demo: { campaign_id: campaign.id, csv } });
  return campaign;
};

/** Uploads and starts; both may be done again after a start that was cut short. */
const begin = async ({ url, apiKey }: Stack, id: string, csv: string, say: DemoOptions['say']): Promise<void> => {
  const report = await callApi(url, {
    method: 'POST',
    path: `/v1/campaigns/${id}/leads`,
    key: apiKey,
    csv: Readable.toWeb(fs.createReadStream(csv)) as ReadableStream<Uint8Array>,
    answer: ImportReport,
  });
  say(
    `Uploaded ${path.basename(csv)}: ${report.rows} rows, ${report.imported} leads, ${report.duplicates} duplicates, ${report.invalid} bad rows.`,
  );
  for (const { row, message } of report.errors.slice(0, 5)) say(`  row ${row}: ${message}`);
  await callApi(url, { method: 'POST', path: `/v1/campaigns/${id}/start`, key: apiKey, answer: z.unknown() });
};

const counts = (numbers: Readonly<Record<string, number | undefined>>): string =>
  Object.entries(numbers)
    .filter(([, n]) => n)
    .map(([name, n]) => `${n} ${name.replaceAll('_', ' ')}`)
    .join(', ');

/** One line on how far the campaign is. */
export const progressLine = ({ status, counts: { leads, calls }, progress, hot_leads }: CampaignOut): string => {
  const all = Object.values(leads).reduce((sum, n) => sum + n, 0);
  const ends = counts(calls);
  return `${status} ${String(Math.round(progress * 100)).padStart(3)} %  ${leads.calling ?? 0} of ${all} leads being called, ${hot_leads} hot${ends ? ` | calls: ${ends}` : ''}`;
};

/** The worker may be restarting: whoever only watches asks again. */
const passing = (error: unknown): undefined => {
  if (error instanceof ApiError && error.status < 500) throw error;
  return undefined;
};

/** Says how the campaign goes until it is over. */
const follow = async ({ stack, say, stopped }: DemoOptions, id: string): Promise<CampaignOut | undefined> => {
  let last = '';
  while (!stopped()) {
    const campaign = await read(stack, id).catch(passing);
    if (!campaign) {
      await pause(1000);
      continue;
    }
    const line = progressLine(campaign);
    if (line !== last) say(line);
    last = line;
    if (campaign.status === 'completed' || campaign.status === 'canceled') return campaign;
    await pause(1000);
  }
  return undefined;
};

/** Says what became of the summary mail. */
const followMail = async ({ stack, say, stopped }: DemoOptions, id: string): Promise<void> => {
  while (!stopped()) {
    const request = { path: '/v1/notifications?limit=200', key: stack.apiKey, answer: page(Notification) };
    const found = await callApi(stack.url, request).catch(passing);
    const mail = found?.data.find(({ campaign_id, type }) => campaign_id === id && type === 'campaign_summary');
    if (mail?.status === 'sent') return say(`The summary mail lies in ${mail.recipient}'s inbox.`);
    if (mail && mail.status !== 'pending' && mail.status !== 'sending') {
      return say(`The summary mail is ${mail.status}${mail.reason === null ? '' : `: ${mail.reason}`}.`);
    }
    await pause(500);
  }
};

/**
 * Runs the demo to its end, or goes on with the one that the last start left unfinished, unless another list is given.
 * @throws {ApiError} what the API would not do
 */
export const runDemo = async (options: DemoOptions): Promise<void> => {
  const { stack, say } = options;
  const found = await unfinished(stack);
  // Whoever names another list wants that one called; what is unfinished goes on beside it as any campaign does.
  const left = options.csv === undefined || options.csv === found?.csv ? found : undefined;
  const csv = left?.csv ?? options.csv ?? EXAMPLE;
  const campaign = left?.campaign ?? (await create(stack, csv));
  say(left ? `Going on with the unfinished campaign “${campaign.name}”.` : `Campaign “${campaign.name}” made.`);
  if (campaign.status === 'draft') await begin(stack, campaign.id, csv, say);
  const ended = await follow(options, campaign.id);
  if (ended?.status === 'completed') await followMail(options, campaign.id);
};
