/** The token of an invitation link, kept for this window until it is used: signing in leads to other addresses. */

const KEY = "invitation";

export const invitationToken = {
  /** Returns the token in the address, or the one that was there before, and takes it out of the address. */
  take(): string {
    const found = /^#(inv_.+)$/.exec(location.hash)?.[1];
    if (found) {
      sessionStorage.setItem(KEY, found);
      history.replaceState(history.state, "", location.pathname + location.search);
    }
    return sessionStorage.getItem(KEY) ?? "";
  },

  forget(): void {
    sessionStorage.removeItem(KEY);
  },
};
