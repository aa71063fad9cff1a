/** The only place where HTML of others enters the page: cleaned by DOMPurify, as Trusted Types demand. */

import DOMPurify from "dompurify";

/** Returns HTML that runs, loads and navigates nothing: `allowed` names its elements and attributes. */
export function clean(html: string, allowed: string[], attributes: string[] = []): string {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: allowed,
    ALLOWED_ATTR: attributes,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_TRUSTED_TYPE: true,
  }) as unknown as string; // Preact hands it on to innerHTML as it is
}

/** A headline of the search: text with its hits in `<mark>`. */
export function Headline({ html }: { html: string }) {
  return <span dangerouslySetInnerHTML={{ __html: clean(html, ["mark"]) }} />;
}

/** Code with colours: text in spans that name what each is. */
export function Coloured({ html }: { html: string }) {
  return <code dangerouslySetInnerHTML={{ __html: clean(html, ["span"], ["class"]) }} />;
}
