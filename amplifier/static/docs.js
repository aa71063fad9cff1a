// Shows the service's OpenAPI document: /docs as a console, /redoc to read, with everything unfolded.
const reading = location.pathname.startsWith("/redoc");

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: reading ? "full" : "list",
  defaultModelsExpandDepth: reading ? 1 : 0,
  filter: !reading,
  persistAuthorization: false, // keys and tokens stay in the page
  supportedSubmitMethods: reading ? [] : ["get", "post", "put", "patch", "delete"],
  validatorUrl: null, // else it would ask another host
});
