/** The operator's way through the pages, in a real browser against the whole system. */
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Campaign, Lead, page as pageOf } from '../../lib/contract.ts';
import { newAccount } from './account.ts';
import { EXAMPLE_CSV, useBrowser } from './browser.ts';

const open = useBrowser();

const signIn = async (page: Page, key: string): Promise<void> => {
  await page.goto('/');
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
};

/** Names of the leads as the page lists them, with score and temperature. */
const rowsOf = (page: Page): Promise<{ phone: string; score: string; temperature: string }[]> =>
  page.locator('#rows tr').evaluateAll((rows) =>
    rows.map((row) => ({
      phone: row.querySelector('.phone')?.textContent?.trim() ?? '',
      score: row.querySelector('.score b')?.textContent ?? '',
      temperature: row.querySelector('.score .pill')?.textContent ?? '',
    })),
  );

test('a wrong key is refused and says so, the right one shows the campaigns, and signing out forgets it', async () => {
  const account = await newAccount();
  await account.campaign('Spring list');
  const { page } = await open();
  await signIn(page, 'not-a-key');
  await expect.poll(() => page.getByRole('alert').textContent()).toContain('not valid');
  await page.getByLabel('API key').fill(account.key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('link', { name: 'Spring list' }).click();
  await page.getByRole('heading', { name: 'Spring list' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('API key').waitFor();
  await page.goBack();
  await page.goto('/');
  await page.getByLabel('API key').waitFor();
});

test('a campaign goes from the form through the CSV to its end before the reader’s eyes, hot leads on top', async () => {
  const account = await newAccount();
  const { page } = await open();
  await signIn(page, account.key);
  await page.getByRole('link', { name: 'Make the first campaign' }).click();

  await page.getByLabel('Name').fill('Live list');
  for (const day of ['Sat', 'Sun']) await page.getByText(day, { exact: true }).click();
  await page.getByLabel('From').fill('00:00');
  await page.getByLabel('Until').fill('00:00');
  await page.getByLabel('Country of numbers').selectOption('US');
  await page.getByText('More: limits and retries').click();
  await page.getByLabel('After no answer').fill('1');
  await page.getByLabel('After busy').fill('1');
  await page.getByRole('button', { name: 'Create campaign' }).click();

  await page.getByText('Upload leads to begin').waitFor();
  expect(await page.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true);
  await page.getByLabel('CSV file').setInputFiles(EXAMPLE_CSV);
  await page.getByRole('button', { name: 'Upload' }).click();
  const report = page.locator('#upload-result');
  await report.getByText('64 rows read').waitFor();
  expect(await report.textContent()).toMatch(/60 leads added, 2 duplicates, 2 rows could not be used/);
  expect(await report.locator('tbody tr').count()).toBe(2);

  const reader = page.locator('#rows tr a').nth(20);
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('#status', { hasText: 'Active' }).waitFor();
  const focused = await reader.getAttribute('id');
  await reader.focus();
  const seen = new Set<string>();
  const deadline = Date.now() + 150_000;
  while ((await page.locator('#status').textContent())?.trim() !== 'Completed') {
    seen.add((await page.locator('#done b').textContent()) ?? '');
    if (Date.now() > deadline) throw new Error(`still at ${[...seen].join(', ')}`);
    await page.waitForTimeout(100);
  }
  expect(seen.size, [...seen].join(', ')).toBeGreaterThan(2);
  expect(await page.evaluate(() => document.activeElement?.id), 'focus survives every update').toBe(focused);
  expect(await page.getByRole('button', { name: /Start|Pause|Resume|Cancel/ }).count()).toBe(0);

  const id = new URL(page.url()).pathname.split('/')[2] ?? '';
  const campaign = await account.get(`/v1/campaigns/${id}`, Campaign);
  const leads = (await account.get(`/v1/campaigns/${id}/leads?limit=200`, pageOf(Lead))).data;
  expect(await page.locator('#n-hot dd').textContent()).toBe(String(campaign.hot_leads));
  expect(await page.locator('#n-reached dd').textContent()).toBe(String(campaign.counts.leads.reached));
  expect(await page.locator('#c-no_answer b').textContent()).toBe(String(campaign.counts.calls.no_answer));
  const rows = await rowsOf(page);
  expect(rows).toHaveLength(60);
  const scores = leads.map((lead) => lead.score).filter((score) => score !== null);
  expect(rows.map((row) => row.score).filter(Boolean)).toEqual(scores.sort((a, b) => b - a).map(String));
  expect(rows.findLastIndex((row) => row.temperature === 'Hot')).toBe(campaign.hot_leads - 1);

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('Hot leads as CSV').click()]);
  expect(download.suggestedFilename()).toMatch(/\.csv$/);
}, 180_000);

test('pausing, resuming and canceling take one button each, and canceling asks first', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Held list', { max_concurrent_calls: 1 });
  await account.upload(id, `phone\n${Array.from({ length: 30 }, (_, i) => `+1415555${1000 + i * 100}`).join('\n')}\n`);
  const { page } = await open();
  await signIn(page, account.key);
  await page.goto(`/campaigns/${id}`);
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.locator('#story', { hasText: 'Nobody new is called' }).waitFor();
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByText('Cancel…').click();
  await page.getByRole('button', { name: 'Cancel the campaign' }).click();
  await page.locator('#status', { hasText: 'Canceled' }).waitFor();
  expect((await account.get(`/v1/campaigns/${id}`, Campaign)).status).toBe('canceled');
});

test('a lead is said to be on a call, not called yet, or not called, as it is', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Words for it', { max_concurrent_calls: 1 });
  // A create-call to such a number is never answered, so that a call stays under way for a while.
  await account.upload(id, `phone\n${Array.from({ length: 8 }, (_, i) => `+14155550${i + 1}97`).join('\n')}\n`);
  const { page } = await open();
  await signIn(page, account.key);
  await page.goto(`/campaigns/${id}`);
  const last = page.locator('#rows .last');
  expect((await last.allTextContents()).map((text) => text.trim())).toEqual(Array(8).fill('Not called yet'));
  await page.getByRole('button', { name: 'Start' }).click();
  await last.getByText('Call under way').first().waitFor();
  await page.getByText('Cancel…').click();
  await page.getByRole('button', { name: 'Cancel the campaign' }).click();
  await last.getByText('Not called', { exact: true }).first().waitFor();
});

test('a lead or a campaign named as markup is shown as text (class 35)', async () => {
  const account = await newAccount();
  const markup = '<script>alert(1)</script>';
  const { id } = await account.campaign(`${markup}"><img src=x onerror=alert(2)>`);
  await account.upload(id, `phone,name,company\n+14155550100,${markup},"<b onclick='alert(3)'>"\n`);
  const { page } = await open();
  await signIn(page, account.key);
  expect(await page.locator('.campaign .title').textContent()).toContain(markup);
  await page.goto(`/campaigns/${id}`);
  expect(await page.locator('h1').textContent()).toContain(markup);
  expect((await page.locator('#rows .person').textContent())?.trim()).toBe(`${markup}<b onclick='alert(3)'>`);
  expect(await page.locator('#rows script, #rows .person b b, h1 img').count()).toBe(0);
});

test('a mistake in the form is said at its field, and nothing typed is lost', async () => {
  const account = await newAccount();
  const { page } = await open();
  await signIn(page, account.key);
  await page.goto('/campaigns/new');
  expect(await page.getByLabel('Time zone').inputValue()).toBe('Asia/Kolkata');
  await page.getByLabel('Name').fill('A name that stays');
  await page.getByLabel('From').fill('09:00');
  await page.getByLabel('Until').fill('09:30');
  await page.getByText('More: limits and retries').click();
  await page.getByLabel('Attempts per lead').fill('many');
  await page.getByLabel('After voicemail').fill('90');
  await page.getByRole('button', { name: 'Create campaign' }).click();
  const until = page.getByLabel('Until');
  await page.getByRole('alert').waitFor();
  expect(await until.getAttribute('aria-invalid')).toBe('true');
  expect(await page.locator('#end-error').textContent()).toContain('at least one hour');
  expect((await until.getAttribute('aria-describedby'))?.split(' ')).toContain('end-error');
  expect(await page.locator('#max_attempts-error').textContent()).toContain('whole number');
  expect(await page.getByLabel('Name').inputValue()).toBe('A name that stays');
  expect(await page.getByLabel('After voicemail').inputValue()).toBe('90');
  expect(await page.getByLabel('Attempts per lead').isVisible()).toBe(true);
  await until.fill('17:00');
  await page.getByLabel('Attempts per lead').fill('2');
  await page.getByRole('button', { name: 'Create campaign' }).click();
  await page.getByText('Upload leads to begin').waitFor();
  const { data } = await account.get('/v1/campaigns', pageOf(Campaign));
  expect(data).toHaveLength(1);
  expect(data[0]).toMatchObject({
    name: 'A name that stays',
    window: { days: [1, 2, 3, 4, 5], start: '09:00', end: '17:00' },
    timezone: 'Asia/Kolkata',
    retry: { max_attempts: 2, no_answer_minutes: 60, busy_minutes: 15, voicemail_minutes: 90, failed_minutes: null },
  });
});

test('an upload that is no CSV, or holds bad rows, says what is wrong, and says it again on a fresh page', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('Bad rows', { default_country: 'US' });
  const { page } = await open();
  await signIn(page, account.key);
  await page.goto(`/campaigns/${id}`);
  const upload = async (name: string, text: string): Promise<void> => {
    await page.getByLabel('CSV file').setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(text) });
    await page.getByRole('button', { name: 'Upload' }).click();
  };
  await upload('empty.csv', '');
  await page.locator('#upload-result .bad').waitFor();
  await upload('page.csv', '<!doctype html><html><body>Sign in</body></html>');
  await page.locator('#upload-result .bad', { hasText: /HTML/i }).waitFor();
  await upload('numbers.csv', 'name,numbers\nAda,+14155550100\n');
  await page.locator('#upload-result .bad', { hasText: 'Rename the column to phone' }).waitFor();
  await upload('list.csv', 'name,phone\nAda,415 555 0100\nBob,not a number\nCyd,9.19877E+11\n');
  await page.getByText('3 rows read').waitFor();
  expect(await page.locator('#upload-result tbody tr td:first-child').allTextContents()).toEqual(['3', '4']);
  await page.reload();
  await page.getByText('some rows could not be used').click();
  expect(await page.locator('#upload-result tbody tr').count()).toBe(2);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('Download the bad rows').click()]);
  expect(download.suggestedFilename()).toMatch(/\.csv$/);
});

test('everything works without scripts, on a phone, too', async () => {
  const account = await newAccount();
  const { page } = await open({ javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
  await signIn(page, account.key);
  await page.getByRole('link', { name: 'Make the first campaign' }).click();
  await page.getByLabel('Name').fill('Plain list');
  await page.getByRole('button', { name: 'Create campaign' }).click();
  await page.getByLabel('CSV file').setInputFiles({
    name: 'list.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from('phone,name\n+14155550100,Ada\n+1 415 555 0101,Bob\nnope,Cyd\n'),
  });
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.getByText('3 rows read').waitFor();
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('#status', { hasText: 'Active' }).waitFor();
  await page.getByRole('link', { name: 'Reload it' }).click();
  await page.locator('#status', { hasText: 'Active' }).waitFor();
  expect(await page.locator('#rows tr').count()).toBe(2);
});

test('no page is wider than a phone', async () => {
  const account = await newAccount();
  const { id } = await account.campaign('W'.repeat(180));
  await account.upload(id, `phone,name,company\n+14155550100,${'x'.repeat(200)},${'y'.repeat(200)}\n`);
  const { page } = await open({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  await signIn(page, account.key);
  await page.locator('.campaign').waitFor();
  const paths = ['/', '/campaigns/new', `/campaigns/${id}`, '/mails'];
  for (const path of paths) {
    await page.goto(path);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(360);
  }
  expect(paths).toHaveLength(4);
});

test('times are written in the account’s zone', async () => {
  const account = await newAccount('Asia/Kolkata');
  const { id } = await account.campaign('Later', { starts_at: '2030-01-02T20:00:00Z' });
  await account.upload(id, 'phone\n+14155550100\n');
  const { page } = await open({ timezoneId: 'America/New_York' });
  await signIn(page, account.key);
  await page.goto(`/campaigns/${id}`);
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('#story', { hasText: 'Starts Thu 3 Jan 2030, 01:30' }).waitFor();
});
