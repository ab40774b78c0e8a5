/** The frame that every mail of ours shares: a page that mail programs understand, light and dark, wide and phone. */
import { html, Html } from './html.ts';

/** Inline, because half the mail programs read nothing else. */
export const FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";

const STYLE = `
:root{color-scheme:light dark;supported-color-schemes:light dark}
body{margin:0;padding:0;-webkit-text-size-adjust:100%;-ms-text-size-adjust:100%}
table{border-collapse:separate}
a[x-apple-data-detectors]{color:inherit!important;text-decoration:none!important}
@media (max-width:480px){
.outer{padding:0!important}
.card{border-radius:0!important;border-left:0!important;border-right:0!important}
.pad{padding-left:20px!important;padding-right:20px!important}
.figure{display:inline-block!important;width:49%!important;box-sizing:border-box!important}
}
@media (prefers-color-scheme:dark){
.page{background:#0f1115!important}
.card{background:#191c22!important;border-color:#2a2e37!important}
.line{border-color:#2a2e37!important}
.ink{color:#eef0f4!important}
.soft{color:#a2a9b6!important}
.link{color:#f7ab5e!important}
.bar{background:#c97a2b!important}
.score{background:#4a2b10!important;color:#ffd2a3!important}
.button{background:#f0913a!important}
.button a{color:#1b1206!important}
}`;

/** A link that looks like a button, in Outlook too. */
export const button = (label: string, url: string): Html =>
  html`<table role="presentation" cellpadding="0" cellspacing="0" border="0">
    <tr>
      <td class="button" bgcolor="#b4500c" style="border-radius:6px;background:#b4500c">
        <a
          href="${url}"
          style="display:inline-block;padding:11px 20px;${FONT}font-size:15px;line-height:20px;font-weight:700;color:#ffffff;text-decoration:none"
          >${label}</a
        >
      </td>
    </tr>
  </table>`;

/**
 * A whole mail.
 *
 * @param page `preview` is what mailboxes show beside the subject; `body` is rows of the card's table; `footer` stands below it
 */
export const mailPage = (page: { title: string; preview: string; body: Html; footer: Html }): string =>
  html`<!doctype html>
    <html lang="en" dir="ltr">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="supported-color-schemes" content="light dark" />
        <meta name="format-detection" content="telephone=no,date=no,address=no,email=no" />
        <title>${page.title}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body class="page" style="margin:0;padding:0;background:#f3f4f6">
        <div style="display:none;max-height:0;overflow:hidden;mso-hide:all">${page.preview}</div>
        <table
          role="presentation"
          class="page"
          width="100%"
          cellpadding="0"
          cellspacing="0"
          border="0"
          bgcolor="#f3f4f6"
          style="background:#f3f4f6"
        >
          <tr>
            <td class="outer" align="center" style="padding:32px 12px">
              <!--[if mso]><table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0"><tr><td><![endif]-->
              <table
                role="presentation"
                class="card"
                width="100%"
                cellpadding="0"
                cellspacing="0"
                border="0"
                bgcolor="#ffffff"
                style="max-width:600px;background:#ffffff;border:1px solid #e6e8ec;border-radius:10px"
              >
                ${page.body}
              </table>
              <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:600px">
                <tr>
                  <td class="pad soft" style="padding:16px 32px;${FONT}font-size:12px;line-height:18px;color:#5c6370">
                    ${page.footer}
                  </td>
                </tr>
              </table>
              <!--[if mso]></td></tr></table><![endif]-->
            </td>
          </tr>
        </table>
      </body>
    </html> `.markup;
