/** `ready.json`: how other programs find a running system and its keys. */
import fs from 'node:fs';
import path from 'node:path';
import { writeJson } from './json-file.ts';
import type { Stack } from './stack.ts';

export interface Ready {
  url: string;
  api_key: string;
  admin_key: string;
  agent_id: string;
  inbox_url: string;
  phone_network_url: string;
  sentry_url: string;
  /** Superuser, loopback. */
  database_url: string;
  /** The supervisor, ancestor of every process it started. */
  pid: number;
}

/** What there is to say of a system that runs in this process. */
export const readyOf = (stack: Stack): Ready => ({
  url: stack.url,
  api_key: stack.apiKey,
  admin_key: stack.adminKey,
  agent_id: stack.agentId,
  inbox_url: stack.inboxUrl,
  phone_network_url: stack.phoneNetworkUrl,
  sentry_url: stack.sentryUrl,
  database_url: stack.databaseUrl,
  pid: process.pid,
});

const fileIn = (dataDir: string): string => path.join(dataDir, 'ready.json');

/** Written last, mode 0600, by rename. */
export const writeReady = (dataDir: string, ready: Ready): void => writeJson(fileIn(dataDir), ready);

export const removeReady = (dataDir: string): void => fs.rmSync(fileIn(dataDir), { force: true });
