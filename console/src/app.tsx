/** The routes. Each page is a chunk of its own, loaded when it is opened first. */

import { lazy, Suspense } from "preact/compat";
import { Redirect, Route, Router, Switch } from "wouter-preact";
import { BASE } from "./base";
import { Frame } from "./shell/frame";
import { Gate } from "./sign-in/gate";
import { Loading } from "./ui/loading";
import { NotFound } from "./ui/not-found";
import { Toasts } from "./ui/toast";

const LOADS = {
  "/sessions/": () => import("./transcript/page"),
  "/search": () => import("./search/page"),
  "/configs/": () => import("./configs/page"),
  "/configs": () => import("./configs/list-page"),
  "/invitations": () => import("./people/invitation-page"),
  "/admin": () => import("./admin/page"),
  "/": () => import("./sessions/page"),
};
const Sessions = lazy(LOADS["/"]);
const Session = lazy(LOADS["/sessions/"]);
const Search = lazy(LOADS["/search"]);
const Configs = lazy(LOADS["/configs"]);
const Config = lazy(LOADS["/configs/"]);
const Invitation = lazy(LOADS["/invitations"]);
const Admin = lazy(LOADS["/admin"]);

// the page of the address is on its way while the sign-in goes on
const first = Object.entries(LOADS).find(([path]) => (location.pathname.slice(BASE.length) || "/").startsWith(path));
void first?.[1]().catch(() => undefined); // where it fails, the page says so when it is shown

export function App() {
  return (
    <Router base={BASE}>
      <Frame>
        <Gate>
          <Pages />
        </Gate>
      </Frame>
      <Toasts />
    </Router>
  );
}

function Pages() {
  return (
    <Suspense fallback={<Loading />}>
      <Switch>
        <Route path="/" component={Sessions} />
        <Route path="/sessions/:id">{({ id }) => <Session key={id} id={id} />}</Route>
        <Route path="/search" component={Search} />
        <Route path="/configs" component={Configs} />
        <Route path="/configs/:id">{({ id }) => <Config key={id} id={id} />}</Route>
        <Route path="/invitations" component={Invitation} />
        <Route path="/admin" nest component={Admin} />
        <Route path="/sign-in">
          <Redirect to="/" replace />
        </Route>
        <Route path="/callback">
          <Redirect to="/" replace />
        </Route>
        <Route component={NotFound} />
      </Switch>
    </Suspense>
  );
}
