# The container's command: an ansible-runner directory from the Job's own variables, the suite's playbook, then what it found.
# The suite stops at the first test case that fails; whatever it comes to, the summary tells it, and this ends well.
set -eu
umask 077
suite=${SUITE:-/opt/one-deploy-validation}
if [ ! -f "$suite/playbooks/validation.yml" ]; then
    printf 'the image has no one-deploy-validation in %s' "$suite" > /dev/termination-log
    exit 1
fi
cd /runner
mkdir -p inventory/group_vars env
printf '%s' "$INVENTORY" > inventory/hosts.yml
printf '%s' "$VARIABLES" > inventory/group_vars/all.yml
printf '%s' "$KNOWN_HOSTS" > known_hosts
cp -R "$suite" project
cp /credentials/sshPrivateKey env/ssh_key
if [ -f /bastion/sshPrivateKey ]; then
    cp /bastion/sshPrivateKey env/bastion_key
fi
# Its ansible.cfg trusts every host key; the environment has the last word.
export ANSIBLE_HOST_KEY_CHECKING=True
ansible-runner run . --playbook playbooks/validation.yml --ident validation || true
printf '%s' "$SUMMARY" > summary.py
python3 summary.py artifacts/validation/job_events /tmp "$REPORT" > /dev/termination-log
