/** The page for whoever is not signed in. */
import { html } from 'hono/html';
import { alert, layout } from './layout.ts';
import type { Html } from './words.ts';

const HINT = 'The key you were shown when the account was made. You stay signed in for 12 hours.';

/** `next`: where to go afterwards, a path of ours. `error`: why the last try failed. `hint`: which key. */
export const signInPage = (next: string, error: string | null, hint = HINT): Html =>
  layout({
    title: 'Sign in',
    viewer: null,
    body: html`<section class="card narrow">
      <h1>Sign in</h1>
      ${alert(error)}
      <form method="post" action="/sign-in" class="stack">
        <input type="hidden" name="next" value="${next}" />
        <label for="key">API key</label>
        <input
          id="key"
          name="key"
          type="password"
          required
          autofocus
          autocomplete="current-password"
          spellcheck="false"
          aria-describedby="key-hint"
        />
        <p class="hint" id="key-hint">${hint}</p>
        <button class="primary">Sign in</button>
      </form>
    </section>`,
  });
