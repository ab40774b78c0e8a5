/** Every page on a telephone: nothing sticks out, and what scrolls within a page can be reached without a mouse. */
import type { Page } from 'playwright-core';
import { expect, inject, test } from 'vitest';
import * as z from 'zod';
import { callApi } from '../../local/api-client.ts';
import { newAccount } from './account.ts';
import { useBrowser } from './browser.ts';

const open = useBrowser();
const stack = inject('stack');

const signIn = async (page: Page, path: string, key: string): Promise<void> => {
  await page.goto(path);
  await page.getByLabel(/key/i).fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page
    .getByRole('heading', { level: 1 })
    .and(page.getByText(/^(Campaigns|System)$/))
    .waitFor();
};

test('no page is wider than a phone, however long the words', async () => {
  const account = await newAccount();
  const word = 'Donaudampfschifffahrtsgesellschaftskapitaensmuetze'; // 50 letters
  const { key } = account;
  const email = `${word}@${word}.example`;
  await callApi(stack.url, { method: 'PATCH', path: '/v1/account', key, body: { name: word, email }, answer: z.unknown() });
  const { id } = await account.campaign(word + word);
  await account.upload(id, `phone,name,company,email\n+14155550100,${word + word},${word + word},${email}\n+12,${word},,\n`);
  const body = { agent_id: account.agentId, to: '+14155550102' };
  await callApi(stack.url, { method: 'POST', path: '/v1/calls', key, body, answer: z.unknown() });
  const mail = { From: 'us@example.com', To: email, Subject: `${word} ${word}`, TextBody: word };
  await fetch(`${stack.inboxUrl}/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-postmark-server-token': 'local' },
    body: JSON.stringify(mail),
  });

  const { page } = await open({ viewport: { width: 390, height: 844 } });
  await signIn(page, '/', key);
  await signIn(page, '/system', stack.adminKey);
  const ours = ['/', '/campaigns/new', `/campaigns/${id}`, '/mails', '/system', '/docs'];
  for (const address of [...ours, `${stack.inboxUrl}/`, `${stack.phoneUrl}/`]) {
    await page.goto(address);
    await page.locator('details').evaluateAll((all) => all.forEach((one) => one.setAttribute('open', '')));
    expect(await page.evaluate(() => document.documentElement.scrollWidth), address).toBeLessThanOrEqual(390);
  }
  await page.goto(`${stack.inboxUrl}/`);
  const subject = page.getByText(mail.Subject);
  expect((await subject.boundingBox())?.width, 'a subject can be read').toBeGreaterThan(195);
});

test('the tables of the system page scroll by keyboard, each under a name', async () => {
  const { page } = await open({ viewport: { width: 390, height: 844 } });
  await signIn(page, '/system', stack.adminKey);
  for (const name of ['Connections', 'Verbs']) {
    const table = page.getByRole('region', { name });
    await table.focus();
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => table.evaluate((node) => node.scrollLeft), { message: name }).toBeGreaterThan(0);
  }
});
