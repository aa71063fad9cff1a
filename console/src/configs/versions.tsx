import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { usePages } from "../ui/pages";
import { useResource } from "../ui/resource";
import { Time } from "../ui/time";
import { notify } from "../ui/toast";
import { listVersions, readVersion, restoreVersion } from "./calls";
import { Diff } from "./diff";
import type { Draft } from "./draft";
import styles from "./configs.module.css";

/** The versions of a config: each can be compared with any other, and restored. */
export function Versions({ draft }: { draft: Draft }) {
  const { config_id, version: present, user_id } = draft.saved.value;
  const pages = usePages((cursor, signal) => listVersions(config_id, cursor, signal), [config_id, present]);
  const [compared, setCompared] = useState<[number, number] | null>(null);
  async function restore(version: number) {
    const former = draft.saved.value.version;
    draft.reset(await restoreVersion(config_id, version, former));
    setCompared(null);
    notify(`Restored version ${version}`, { name: "Undo", act: () => restore(former) });
  }
  return (
    <section class={styles.versions} aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      {pages.error !== undefined && <ErrorNote error={pages.error} retry={pages.loadMore} />}
      {pages.items.length === 0 && pages.loading && <Loading />}
      {compared && <Comparison configId={config_id} newest={present} compared={compared} onChange={setCompared} />}
      <ol class={styles.list} aria-label="Versions">
        {pages.items.map(({ version, name, created_at }) => (
          <li key={version} class={styles.version}>
            <span class={styles.text}>
              <strong>Version {version}</strong>
              {version === present && " (present)"} <span dir="auto">{name}</span>
              <small>
                <Time at={created_at} /> by <bdi>{user_id}</bdi>
              </small>
            </span>
            {version > 1 && (
              <Button
                kind="quiet"
                aria-label={`Changes in version ${version}`}
                onClick={() => setCompared([version - 1, version])}
              >
                Changes
              </Button>
            )}
            {version !== present && !draft.dirty.value && (
              <Button kind="quiet" aria-label={`Restore version ${version}`} onClick={() => restore(version)}>
                Restore
              </Button>
            )}
          </li>
        ))}
      </ol>
      {pages.more && <Button onClick={pages.loadMore}>Show older versions</Button>}
      {draft.dirty.value && present > 1 && (
        <p class={styles.soft}>Save or discard your changes before you restore a version.</p>
      )}
    </section>
  );
}

interface ComparisonProps {
  configId: string;
  newest: number;
  compared: [number, number];
  onChange: (compared: [number, number]) => void;
}

function Comparison({ configId, newest, compared, onChange }: ComparisonProps) {
  const element = useRef<HTMLDivElement>(null);
  const [one, other] = compared;
  const versions = useResource(
    (signal) => Promise.all([one, other].map((version) => readVersion(configId, version, signal))),
    [configId, one, other],
  );
  const [former, present] = versions.data ?? [];
  useEffect(() => element.current!.scrollIntoView({ block: "nearest" }), [versions.data]);
  return (
    <div ref={element} role="group" aria-label="Comparison">
      <div class={styles.compared}>
        <NumberField label="Compare version" value={one} max={newest} onChange={(one) => onChange([one, other])} />
        <NumberField label="with version" value={other} max={newest} onChange={(other) => onChange([one, other])} />
      </div>
      {versions.error !== undefined && <ErrorNote error={versions.error} retry={versions.reload} />}
      {former && present ? (
        <Diff former={former} present={present} name={`From version ${former.version} to version ${present.version}`} />
      ) : (
        versions.loading && <Loading />
      )}
    </div>
  );
}

function NumberField(props: { label: string; value: number; max: number; onChange: (value: number) => void }) {
  return (
    <label>
      {props.label}{" "}
      <input
        type="number"
        min={1}
        max={props.max}
        value={props.value}
        onChange={({ currentTarget }) => currentTarget.validity.valid && props.onChange(currentTarget.valueAsNumber)}
      />
    </label>
  );
}
