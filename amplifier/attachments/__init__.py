"""The content of attachments, in the database or in Azure Blob Storage, for requests, agents and their sweep."""
