/** What new configs begin with. Keys of providers are names of secrets that the service knows (RUNTIME_SECRETS). */

const INSTRUCTIONS = {
  context: { module: "context-simple", config: { system_prompt: "You help people in this session. Answer briefly." } },
};

interface Template {
  id: string;
  name: string;
  text: string;
  /** The config itself, whose bundle gets this name. */
  config: (bundle: string) => Record<string, unknown>;
}

export const TEMPLATES: Template[] = [
  {
    id: "echo",
    name: "Echo agent",
    text: "Repeats what it hears. It needs no key and no network.",
    config: (name) => ({ bundle: { name }, providers: [{ module: "provider-echo", config: { delay: 0.05 } }] }),
  },
  {
    id: "openai",
    name: "OpenAI",
    text: "A model of OpenAI, Azure OpenAI, or a compatible server.",
    config: (name) => ({
      bundle: { name },
      session: INSTRUCTIONS,
      providers: [{ module: "provider-openai", config: { model: "gpt-5-mini", api_key: "${OPENAI_API_KEY}" } }],
    }),
  },
  {
    id: "anthropic",
    name: "Anthropic",
    text: "A model of Anthropic.",
    config: (name) => ({
      bundle: { name },
      session: INSTRUCTIONS,
      providers: [
        { module: "provider-anthropic", config: { model: "claude-sonnet-4-5", api_key: "${ANTHROPIC_API_KEY}" } },
      ],
    }),
  },
  {
    id: "empty",
    name: "Empty",
    text: "Nothing but a name.",
    config: (name) => ({ bundle: { name } }),
  },
];

/** Returns the name of a bundle for a config of this name: `Travel desk` becomes `travel-desk`. */
export function bundleName(name: string): string {
  const plain = name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
  return plain.replace(/^-|-$/g, "").slice(0, 100) || "agent";
}
