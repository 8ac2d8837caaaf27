// Starts Swagger UI with the document of the server that sent this file.
const own = document.currentScript.src;
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: new URL("../openapi.json", own).href,
    dom_id: "#document",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "none",
    filter: true,
    persistAuthorization: true,
    validatorUrl: null,
  });
});
