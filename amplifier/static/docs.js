// Shows the service's OpenAPI document: /docs as a console, /redoc to read.
const reading = location.pathname.startsWith("/redoc");

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list", // unfolding everything takes a browser half a minute
  defaultModelsExpandDepth: reading ? 1 : 0,
  filter: !reading,
  persistAuthorization: false, // keys and tokens stay in the page
  supportedSubmitMethods: reading ? [] : ["get", "post", "put", "patch", "delete"],
  validatorUrl: null, // else it would ask another host
});
