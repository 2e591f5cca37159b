# The first process of a cluster's node: sets its mounts apart from this machine's, and holds its namespaces from then on.
# Usage: sh -c THIS node FOLDER PROGRAM, with the cluster's folder and the program that holds
set -eu
folder=$1

# Among the node's own processes, mounts are shared as kubelet and containerd ask.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir /run/lock /run/netns

# What Kubernetes and containerd write into places that cannot be set.
for place in /var/lib/containerd /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers; do
  mkdir -p "$place" "$folder/node$place"
  mount --bind "$folder/node$place" "$place"
done

# kubelet wants these settings, which are the whole machine's: it is shown that they are as it wants them.
mkdir /run/settings
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=/proc/sys/${setting%=*}
  [ -e "$file" ] || continue
  shown=/run/settings/$(basename "$file")
  echo "${setting#*=}" >"$shown"
  mount --bind "$shown" "$file"
done

echo 1 >/proc/sys/net/ipv4/ip_forward
touch "$folder/node/ready"
exec "$2"
