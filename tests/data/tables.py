"""What both converters do: read published tables, write samples and a site."""

import csv
import gzip
import io


def rows_of(path):
    with open(path, newline="") as table:
        return list(csv.DictReader(table))


def write_samples(path, columns, rows):
    """A .csv.gz that is the same to the last byte whenever the rows are."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    with open(path, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(text.getvalue().encode())


def write_site(path, name, comment, domains, nodes):
    """`domains`: (kind, id, within); `nodes`: (name, domains, devices, model)."""
    quoted = lambda names: "[" + ", ".join(f'"{n}"' for n in names) + "]"
    with open(path, "w") as out:
        out.write(f"# {comment}\nschema = 1\nname = \"{name}\"\n")
        for kind, ident, within in domains:
            out.write(f'\n[[domain]]\nkind = "{kind}"\nid = "{ident}"\n')
            if within:
                out.write(f"within = {quoted(within)}\n")
        groups = {}
        for node, where, devices, model in nodes:
            groups.setdefault((tuple(where), devices, model), []).append(node)
        for (where, devices, model), names in groups.items():
            out.write(f'\n[[nodes]]\nnames = "{",".join(names)}"\ndomains = {quoted(where)}\n')
            out.write(f'devices = {devices}\ndevice_model = "{model}"\n')
