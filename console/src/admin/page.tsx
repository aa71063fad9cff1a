import { lazy, Suspense } from "preact/compat";
import { Link, Route, Switch, useLocation } from "wouter-preact";
import { me } from "../shell/me";
import { Empty } from "../ui/empty";
import { Loading } from "../ui/loading";
import { NotFound } from "../ui/not-found";
import { usePageTitle } from "../ui/page-title";
import styles from "./admin.module.css";

const Usage = lazy(() => import("./usage-page"));
const Searches = lazy(() => import("./searches-page"));
const Applications = lazy(() => import("./applications-page"));
const Application = lazy(() => import("./application-page"));
const Audit = lazy(() => import("./audit-page"));
const Queries = lazy(() => import("./queries-page"));
const Health = lazy(() => import("./health-page"));

const TABS = [
  { to: "/", name: "Usage" },
  { to: "/searches", name: "Searches" },
  { to: "/applications", name: "Applications" },
  { to: "/audit", name: "Audit log" },
  { to: "/queries", name: "Queries" },
  { to: "/health", name: "Health" },
];

/** The pages for those who run the service, through an admin application. */
export default function Page() {
  if (!me.value) return <Loading />;
  return me.value.is_admin ? <Pages /> : <NotAdmin />;
}

function Pages() {
  const [path] = useLocation();
  const isAt = (to: string) => path === to || (to !== "/" && path.startsWith(`${to}/`));
  return (
    <div class={styles.page}>
      <nav aria-label="Administration" class={styles.tabs}>
        {TABS.map(({ to, name }) => (
          <Link key={to} href={to} aria-current={isAt(to) ? "page" : undefined}>
            {name}
          </Link>
        ))}
      </nav>
      <Suspense fallback={<Loading />}>
        <Switch>
          <Route path="/" component={Usage} />
          <Route path="/searches" component={Searches} />
          <Route path="/applications" component={Applications} />
          <Route path="/applications/:id">{({ id }) => <Application key={id} id={id} />}</Route>
          <Route path="/audit" component={Audit} />
          <Route path="/queries" component={Queries} />
          <Route path="/health" component={Health} />
          <Route component={NotFound} />
        </Switch>
      </Suspense>
    </div>
  );
}

/** Says what is missing. */
function NotAdmin() {
  usePageTitle("Administration");
  return (
    <Empty title="Administration is for admin applications">
      <h1 class="visually-hidden">Administration</h1>
      <p>
        You work through the application <strong>{me.value!.app_id}</strong>, which is none. Sign in through an admin
        application, or ask those who run the service to make one:{" "}
        <code>amplifier-api applications create NAME --admin</code>.
      </p>
    </Empty>
  );
}
