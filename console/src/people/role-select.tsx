import type { Role } from "./rights";

const TEXTS: Record<Role, string> = {
  owner: "owner: everything, also people",
  editor: "editor: reads and writes",
  viewer: "viewer: reads",
};

interface Props {
  label: string;
  roles: Role[];
  value: Role;
  onChange: (role: Role) => void;
}

/** Chooses a role, with a word on each. */
export function RoleSelect({ label, roles, value, onChange }: Props) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.currentTarget.value as Role)}>
        {roles.map((role) => (
          <option key={role} value={role}>
            {TEXTS[role]}
          </option>
        ))}
      </select>
    </label>
  );
}
