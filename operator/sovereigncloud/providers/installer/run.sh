# The container's command: an ansible-runner directory from the Job's own variables, then the two playbooks.
# Why a failure is told by the name of its task only: one-deploy's output may hold passwords.
set -eu
umask 077
cd /runner
mkdir -p inventory env project
printf '%s' "$INVENTORY" > inventory/hosts.yml
printf '%s' "$PREPARE" > project/prepare.yml
cp /credentials/sshPrivateKey env/ssh_key
python3 -m pip install --quiet --user netaddr 'pyone>=6.8' xmltodict
ansible-galaxy collection install "$COLLECTION"
for playbook in prepare.yml opennebula.deploy.main; do
    if ! ansible-runner run . --playbook "$playbook" --ident "$(basename "$playbook" .yml)"; then
        task=$(grep -h '^TASK' artifacts/*/stdout | tail -n 1 | tr -d '*' || true)
        printf '%s failed in %s' "$playbook" "${task:-its start}" > /dev/termination-log
        exit 1
    fi
done
