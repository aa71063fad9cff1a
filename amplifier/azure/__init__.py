"""Signs in to Microsoft Entra and reads from Azure. Imports Azure's packages only when they are used."""
