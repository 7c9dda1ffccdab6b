// The trees of stacks that the flame graph draws.

const WEIGHTS = {
  wait: { title: "Wait", of: "who waited for locks", show: timeText, objects: LOCKS, none: "No lock wait was recorded." },
  blame: { title: "Blame", of: "who held locks that others waited for", show: timeText, objects: LOCKS,
    none: "No holder of a contended lock was seen." },
  ops: { title: "Operations", of: "who used maps, from a sample", show: countText, objects: MAPS,
    none: "No stack of a map operation was sampled." },
};

/** A node of the JSON with what drawing needs: its place among the others. */
function flameNode([frame, weight, own, children], parent, left) {
  const node = { frame: DATA.frames[frame], weight, own, parent, left, depth: parent ? parent.depth + 1 : 0 };
  let at = left;
  node.children = children.map((child) => {
    const made = flameNode(child, node, at);
    at += made.weight;
    return made;
  });
  return node;
}

/** The tree by `wait`, `blame` or `ops`, of all or of one map or lock. */
function flameTree(by, of) {
  const { all, of: single } = DATA.flames[by];
  const tree = of === undefined ? all : single[of];
  return tree && tree[1] > 0 ? flameNode(tree, undefined, 0) : undefined;
}

function flameName(node) {
  return node.frame ? frameText(node.frame) : "all";
}

/** Ids that have a tree of their own. */
function flameObjects(by) {
  return Object.keys(DATA.flames[by].of);
}

/** A warm hue by the function's name, the same wherever it is drawn. */
function flameHue(node) {
  let hash = 0;
  for (const character of node.frame?.name ?? "") hash = (hash * 31 + character.codePointAt(0)) % 1009;
  return 10 + (hash % 50);
}

