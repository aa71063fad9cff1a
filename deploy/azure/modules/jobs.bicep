// The jobs that migrate and delete what is old, as the identity that owns the tables.
param name string
param location string
param image string
param registry string
param environment string
param settings object
param identity string
param identityClient string
param identityName string

@description('The login of the service, which the migration makes.')
param serviceName string

@description('Arguments of amplifier-api retention; without them nothing is deleted.')
param retention array

var jobSettings = union(settings, {
  AZURE_CLIENT_ID: identityClient
  DATABASE_SERVICE_USER: serviceName
  DATABASE_USER: identityName
})
var variables = [for setting in items(jobSettings): { name: setting.key, value: setting.value }]

resource migrateJob 'Microsoft.App/jobs@2025-01-01' = {
  name: '${name}-migrate'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity}': {}
    }
  }
  properties: {
    environmentId: environment
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Manual'
      replicaTimeout: 3600
      replicaRetryLimit: 1
      manualTriggerConfig: {
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: [
        {
          server: registry
          identity: identity
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'migrate'
          image: image
          args: ['migrate']
          env: variables
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
    }
  }
}

resource retentionJob 'Microsoft.App/jobs@2025-01-01' = if (!empty(retention)) {
  name: '${name}-retention'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity}': {}
    }
  }
  properties: {
    environmentId: environment
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      replicaTimeout: 14400
      replicaRetryLimit: 1
      scheduleTriggerConfig: {
        cronExpression: '20 3 * * *'
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: [
        {
          server: registry
          identity: identity
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'retention'
          image: image
          args: concat(['retention', '--stop-after', '3h'], retention)
          env: variables
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
    }
  }
}

output migrateJob string = migrateJob.name
