"""The script of the report page: it moves a cursor, and copies cells of the table.

Without it the page shows the same numbers, in the table.
"""

from typing import Final

SCRIPT: Final = """
(function () {
  'use strict';
  var charts = [].slice.call(document.querySelectorAll('[data-n]'));
  var groups = document.querySelectorAll('#numbers tbody');
  var n = groups.length;
  var newest = +document.getElementById('numbers').getAttribute('data-newest');

  function head(i) { return groups[n - 1 - i].rows[0].cells[0]; }

  function fill(chart, i) {
    var slots = chart.readout.querySelectorAll('dd');
    if (chart.values) {
      slots[0].textContent = head(i).firstChild.textContent;
      slots[1].textContent = chart.values[i] || '\\u2013';
      return;
    }
    var row = groups[n - 1 - i].rows[chart.metric];
    var cells = [].slice.call(row.cells).slice(-slots.length + 2);
    slots[0].firstChild.textContent = head(i).firstChild.textContent;
    slots[1].textContent = head(i).lastChild.textContent;
    cells.forEach(function (cell, k) {
      var link = cell.querySelector('a');
      slots[k + 2].textContent = link === null ? cell.textContent
        : document.getElementById(link.hash.slice(1)).firstChild.textContent;
      slots[k + 2].className = cell.className;
    });
  }

  function point(chart, i) {
    var at = 100 * (i + 0.5) / n + '%';
    chart.cursor.setAttribute('x1', at);
    chart.cursor.setAttribute('x2', at);
    chart.cursor.setAttribute('class', 'cursor shown');
  }

  // All charts show the same chunk; the one in use says it aloud.
  function show(source, i) {
    charts.forEach(function (chart) {
      chart.readout.setAttribute('aria-live', chart === source ? 'polite' : 'off');
      chart.at = i;
      point(chart, i);
      fill(chart, i);
    });
  }

  function rest() {
    charts.forEach(function (chart) {
      chart.at = newest;
      chart.cursor.setAttribute('class', 'cursor');
      fill(chart, newest);
    });
  }

  charts.forEach(function (chart) {
    var values = chart.getAttribute('data-values');
    var svg = chart.querySelector('svg.chart');
    chart.values = values === null ? null : values.split('|');
    chart.metric = +chart.getAttribute('data-n');
    chart.readout = chart.querySelector('.readout');
    chart.cursor = chart.querySelector('.cursor');
    chart.at = newest;
    var plot = chart.querySelector('.plot');
    plot.tabIndex = 0;
    plot.setAttribute('role', 'application');
    plot.setAttribute('aria-label', svg.getAttribute('aria-label') +
      '; left and right arrow keys move from chunk to chunk');

    function follow(event) {
      var box = svg.getBoundingClientRect();
      var i = Math.floor((event.clientX - box.left) / box.width * n);
      i = Math.min(Math.max(i, 0), n - 1);
      if (i !== chart.at || !chart.cursor.classList.contains('shown')) {
        show(chart, i);
      }
    }
    plot.addEventListener('pointermove', follow);
    plot.addEventListener('pointerdown', follow);
    plot.addEventListener('pointerleave', function (event) {
      if (event.pointerType === 'mouse' && document.activeElement !== plot) { rest(); }
    });
    plot.addEventListener('focus', function () {
      if (!chart.cursor.classList.contains('shown')) { show(chart, newest); }
    });
    plot.addEventListener('blur', rest);
    plot.addEventListener('keydown', function (event) {
      var to = { ArrowLeft: chart.at - 1, ArrowRight: chart.at + 1,
        Home: 0, End: n - 1, PageUp: chart.at - 10, PageDown: chart.at + 10
      }[event.key];
      if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) {
        return;
      }
      event.preventDefault();
      show(chart, Math.min(Math.max(to, 0), n - 1));
    });
  });
}());
"""
