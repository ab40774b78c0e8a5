/** A real browser, from npm alone; one per test file. */
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium as driver, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, inject } from 'vitest';
import { testDirectory } from '../support/directory.ts';

export const EXAMPLE_CSV = fileURLToPath(new URL('../../examples/leads.csv', import.meta.url));

/** A page, and everything that went wrong in it: script errors, and what the content policy stopped. */
export interface Tab {
  page: Page;
  context: BrowserContext;
  problems: string[];
}

const launch = async (directory: string): Promise<Browser> => {
  // The package unpacks into the temporary directory and takes whatever browser it finds there.
  process.env['TMPDIR'] = directory;
  const { default: chromium } = await import('@sparticuz/chromium');
  return driver.launch({
    executablePath: await chromium.executablePath(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
};

/** Opens tabs for the tests of a file, and fails a test in whose tabs something went wrong that it did not expect. */
export const useBrowser = (): ((options?: BrowserContextOptions) => Promise<Tab>) => {
  const before = process.env['TMPDIR'];
  let directory = '';
  let browser: Browser;
  let tabs: Tab[] = [];
  beforeAll(async () => {
    directory = testDirectory('browser');
    browser = await launch(directory);
  });
  afterEach(async () => {
    const problems = tabs.flatMap((tab) => tab.problems);
    await Promise.all(tabs.map((tab) => tab.context.close()));
    tabs = [];
    expect(problems).toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    fs.rmSync(directory, { recursive: true, force: true });
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  return async (options = {}) => {
    const context = await browser.newContext({ baseURL: inject('stack').url, ...options });
    const page = await context.newPage();
    const tab: Tab = { page, context, problems: [] };
    page.on('pageerror', (error) => tab.problems.push(error.message));
    page.on('dialog', (dialog) => {
      tab.problems.push(`a dialog said ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      // A refused sign-in or form is an answer, not a fault; the browser notes every such status.
      if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) tab.problems.push(message.text());
    });
    tabs.push(tab);
    return tab;
  };
};
