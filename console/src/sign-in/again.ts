/** The mark of sign-ins in a window of their own: in the state that the provider sends back, and the channel's name. */
export const AGAIN = "again";
