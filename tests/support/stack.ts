/** The whole system for the tests that speak HTTP: brought up once per run, without a demo. */
import fs from 'node:fs';
import type { TestProject } from 'vitest/node';
import { startStack } from '../../local/stack.ts';
import { Unwind } from '../../local/unwind.ts';
import { sweep, testDirectory } from './directory.ts';

/** Everything a test needs to find its way; `inject('stack')`. */
export interface TestStack {
  url: string;
  adminKey: string;
  /** The local account's, with an agent and no campaign. */
  apiKey: string;
  agentId: string;
  email: string;
  inboxUrl: string;
  phoneUrl: string;
  sentryUrl: string;
  /** Superuser. */
  databaseUrl: string;
  speed: number;
}

declare module 'vitest' {
  export interface ProvidedContext {
    stack: TestStack;
  }
}

/** The same for every start: no test may depend on the day on which it runs. A Wednesday. */
const NOW = Date.UTC(2026, 9, 14, 15);
const SPEED = 60;

/** vitest's globalSetup: starts it, provides `stack`; the answer takes it down. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  sweep();
  const dataDir = testDirectory('stack');
  const unwind = new Unwind();
  const teardown = async (): Promise<void> => {
    await unwind.run();
    fs.rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    const stack = await startStack(
      {
        dataDir,
        fresh: false,
        port: 0,
        speed: SPEED,
        now: NOW,
        cron: true,
        callingRules: false,
        variables: {},
        fastPostgres: true,
        say: () => undefined,
      },
      unwind,
    );
    project.provide('stack', {
      url: stack.url,
      adminKey: stack.adminKey,
      apiKey: stack.apiKey,
      agentId: stack.agentId,
      email: stack.email,
      inboxUrl: stack.inboxUrl,
      phoneUrl: stack.phoneNetworkUrl,
      sentryUrl: stack.sentryUrl,
      databaseUrl: stack.databaseUrl,
      speed: SPEED,
    });
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}
