// Shows the service's OpenAPI document as an API explorer.

// "Execute" shows an answer when it has ended. An operation that follows events has no end: its text has a command instead.
const isEndless = (spec, path, method) =>
  method === "get" && spec.hasIn(["paths", path, method, "responses", "200", "content", "text/event-stream"]);
const refuseEndless = {
  statePlugins: {
    spec: {
      wrapSelectors: {
        allowTryItOutFor: (allowed, system) => (state, path, method) =>
          !isEndless(system.specSelectors.specJson(), path, method) && allowed(state, path, method),
      },
    },
  },
};

SwaggerUIBundle({
  url: document.getElementById("page").dataset.document,
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list", // unfolding everything takes a browser half a minute
  defaultModelsExpandDepth: 0,
  filter: true,
  persistAuthorization: false, // keys and tokens stay in the page
  plugins: [refuseEndless],
  validatorUrl: null, // else it would ask another host
});
