// Where the schemas of the custom resources come from: modules whose published files hold CustomResourceDefinitions.
module churn/tools/crds

go 1.25.6

require (
	istio.io/api v1.29.0
	sigs.k8s.io/karpenter v1.9.0
	sigs.k8s.io/secrets-store-csi-driver v1.6.0
)
